"""What the inbox answers beside its records, for the OpenAPI document."""

import msgspec


class UnreadCount(msgspec.Struct):
    unread_count: int


class Updated(msgspec.Struct):
    """How many were changed."""

    updated: int
