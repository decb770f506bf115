"""Signals as wishes to stop."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SAME_WISH = 1.0


class Interrupted(BaseException):
    """Raised by a signal where waiting for a step to end would keep somebody waiting."""


class Signals:
    """The first signal asks to stop, a later one insists."""

    def __init__(self) -> None:
        self.received = False
        self._received_at = 0.0
        self._may_interrupt = False

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores it
                signal.signal(number, self._receive)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        self._may_interrupt = True
        try:
            yield
        finally:
            self._may_interrupt = False

    def _receive(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  the signature of a handler
        # A terminal and a wrapper such as `uv run` deliver the same wish twice.
        repeated = self.received and time.monotonic() < self._received_at + SAME_WISH
        self.received = True
        self._received_at = time.monotonic()
        if self._may_interrupt and not repeated:
            self._may_interrupt = False
            raise Interrupted
