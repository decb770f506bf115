"""What is wrong with a link in a mail, or with a mail itself, as callers read it."""

from atrium.core.errors import Forbidden, Gone, InvalidTransition


class BadUnsubscribeLink(Forbidden):
    """Not a Valid Link"""

    default_detail = "The link is not one of ours, or it was changed. Log in to change your notification preferences."


class UnsubscribeLinkExpired(Gone):
    """The Link Has Expired"""

    default_detail = "The link has expired. Log in to change your notification preferences."


class MailNotFailed(InvalidTransition):
    """The Mail Has Not Failed"""
