"""The mail that repeats a notification."""

from atrium.core.notifications.templates import LAYOUTS, mail_template

NOTIFICATION = mail_template(
    "notification",
    LAYOUTS,
    title="A notification, repeated by mail",
    sample={
        "name": "Dana Levi",
        "title": "Growth scan finished",
        "body": "120 clients scanned: 7 new, 3 updated, 1 resolved.",
        "kind": "insight",
        "severity": "warning",
        "inbox_url": "https://atrium.example/notifications",
        "unsubscribe_url": "https://atrium.example/api/v1/notifications/unsubscribe?token=mC2W4k0b3v",
    },
)
