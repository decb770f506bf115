"""What is wrong with a file or with asking for it, as callers read it."""

from atrium.core.errors import Conflict, Forbidden, Gone, Invalid


class UnreadableFile(Invalid):
    """Unreadable File"""


class BadLink(Forbidden):
    """Not a Valid Link"""

    default_detail = "The link is not one of ours, or it was changed. Ask for the export again to get a new one."


class LinkExpired(Gone):
    """The Link Has Expired"""

    default_detail = "The link has expired. Ask for the export again to get a new one."


class FileExpired(Gone):
    """The File Has Expired"""

    default_detail = "The file is no longer kept. Ask for it again."


class NotFinished(Conflict):
    """Not Finished"""
