"""Bodies and answers of the doors under /auth."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=1024, pattern="^[^\\u0000]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern="^[^\\u0000]*$")]
Address = Annotated[str, Meta(min_length=3, max_length=320, pattern="^[^\\u0000]*$")]
Phone = Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{6,14}$")]


class LoginBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Credentials: `username` or `email`, as JSON or as the OAuth2 password form."""

    password: Annotated[Text, Meta(min_length=1)]
    username: Text | None = None
    email: Text | None = None
    otp: Text | None = None
    app: Text | None = None
    grant_type: Text | None = None
    scope: Text | None = None
    client_id: Text | None = None
    client_secret: Text | None = None


class Login(msgspec.Struct, kw_only=True):
    """A session that began or went on."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  the name of a scheme
    expires_in: int
    role: str
    user: dict[str, Any]


class UserView(msgspec.Struct, kw_only=True):
    """An account as its owner sees it; modules add ids of their own, such as advisor_id."""

    id: UUID
    email: str
    username: str | None
    name: str
    role: str
    roles: list[str]
    permissions: list[str]
    is_active: bool
    is_superuser: bool
    is_verified: bool
    advisor_id: UUID | None = None
    client_id: UUID | None = None


class LoginView(msgspec.Struct, kw_only=True):
    """What a login or a refresh answers."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"]
    expires_in: int
    role: str
    user: UserView


class Refresh(msgspec.Struct, forbid_unknown_fields=True):
    refresh_token: Text


class Logout(msgspec.Struct, forbid_unknown_fields=True):
    refresh_token: Text | None = None


class Registration(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A homeowner or a service provider who opens an account."""

    email: Address
    password: Annotated[str, Meta(pattern="^[^\\u0000]*$")]
    name: Name
    account_type: Literal["homeowner", "service_provider"]
    phone: Phone | None = None
    accept_terms: bool


class EmailBody(msgspec.Struct, forbid_unknown_fields=True):
    email: Address


class TokenBody(msgspec.Struct, forbid_unknown_fields=True):
    token: Text


class PasswordReset(msgspec.Struct, forbid_unknown_fields=True):
    token: Text
    password: Annotated[str, Meta(pattern="^[^\\u0000]*$")]


class PasswordChange(msgspec.Struct, forbid_unknown_fields=True):
    current_password: Text
    new_password: Annotated[str, Meta(pattern="^[^\\u0000]*$")]


class Message(msgspec.Struct):
    message: str


class SessionView(msgspec.Struct, kw_only=True):
    """One of the places where somebody is logged in."""

    id: UUID
    created_at: str
    last_used_at: str
    ip: str | None
    user_agent: str | None
    current: bool


class SessionPage(msgspec.Struct, kw_only=True):
    """The v1 list envelope over sessions."""

    items: list[SessionView]
    total: int
    page: int
    limit: int
    pages: int
    next_cursor: str | None
