"""What can go wrong with the embedded servers."""


class EmbeddedError(RuntimeError):
    """A sentence for the person at the terminal: what could not be had, and what to do about it."""
