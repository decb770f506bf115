"""The doors of identity, mounted at /api/v1/auth and /api/auth."""

from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Controller, Response, Router, delete, get, post
from litestar.background_tasks import BackgroundTask
from litestar.params import FromPath, JSONBody

from atrium.core.errors import Invalid, UnknownParameter, UnsupportedMediaType
from atrium.core.http import bodies
from atrium.core.http.requests import (
    Request,
    address_of,
    caller_of,
    json,
    page,
    read_body,
    request_id_of,
    row_id,
    runtime_of,
)
from atrium.core.identity import openapi
from atrium.core.identity.schemas import (
    EmailBody,
    LoginBody,
    LoginView,
    Logout,
    Message,
    PasswordChange,
    PasswordReset,
    Refresh,
    Registration,
    SessionPage,
    TokenBody,
    UserView,
)
from atrium.core.identity.services import accounts, sessions
from atrium.core.identity.services.sessions import Origin
from atrium.core.resources.openapi import verb

JSON_TYPE, FORM_TYPE = "application/json", "application/x-www-form-urlencoded"
MAILED = "If the account exists, a mail is on its way."
OPEN: dict[str, Any] = {"public": True, "security": [{}]}


def origin_of(request: Request) -> Origin:
    return Origin(address_of(request), request.headers.get("user-agent"), request_id_of(request))


async def read_login(request: Request) -> LoginBody:
    """The credentials as JSON or as the OAuth2 form."""
    kind = request.content_type[0].lower()
    if kind == JSON_TYPE:
        return await read_body(request, LoginBody)
    if kind != FORM_TYPE:
        raise UnsupportedMediaType(f"Log in with {JSON_TYPE} or {FORM_TYPE}.", allowed=[JSON_TYPE, FORM_TYPE])
    text = (await request.body()).decode("utf-8", "replace")
    form = dict(parse_qsl(text, keep_blank_values=True))
    found: LoginBody = bodies.decode(msgspec.json.encode(form), LoginBody)
    return found


def paging(request: Request) -> tuple[int, int]:
    """`page` and `limit` of a list that has no other parameters."""
    found = {"page": 1, "limit": 20}
    for name, text in request.query_params.items():
        if name not in found:
            raise UnknownParameter(f"{name} is not a parameter of this list.", allowed=sorted(found))
        highest = 100 if name == "limit" else 10_000_000
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= highest):
            raise Invalid(f"{name} must be a whole number from 1 to {highest}.")
        found[name] = int(text)
    return found["page"], found["limit"]


class AuthController(Controller):
    tags = ("auth",)

    @post(
        "/login",
        status_code=200,
        operation_id=openapi.named("login"),
        operation_class=openapi.Login,
        summary="Log in",
        description="Credentials as JSON or as the OAuth2 password form. Answers both tokens and the account.",
        responses={200: openapi.answers(LoginView, "Logged in")},
        **OPEN,
    )
    async def log_in(self, request: Request) -> Response[bytes]:
        body = await read_login(request)
        identifier = (body.username or body.email or "").strip()
        if not identifier:
            raise Invalid.at("username", "is required, or email", "missing")
        return json(await sessions.log_in(runtime_of(request), origin_of(request), identifier, body.password))

    @post(
        "/refresh",
        status_code=200,
        operation_id=openapi.named("refreshTokens"),
        operation_class=openapi.shown({"refresh_token": "mC2W…"}, "400 401 422 429"),
        summary="Get new tokens",
        description="Each refresh token is used once; within ten seconds its reuse gives the same successor.",
        responses={200: openapi.answers(LoginView, "New tokens")},
        **OPEN,
    )
    async def refresh(self, request: Request, data: JSONBody[Refresh]) -> Response[bytes]:
        return json(await sessions.refresh(runtime_of(request), origin_of(request), data.refresh_token))

    @post(
        "/logout",
        status_code=200,
        operation_id=openapi.named("logout"),
        operation_class=openapi.Logout,
        summary="Log out",
        description="Ends the session of this token, and that of a refresh token if one is sent along.",
        responses={200: openapi.answers(Message, "Logged out")},
    )
    async def log_out(self, request: Request) -> Response[bytes]:
        body = await read_body(request, Logout)
        await sessions.log_out(runtime_of(request), caller_of(request), body.refresh_token)
        return json(Message("Successfully logged out"))

    @get(
        "/me",
        operation_id=openapi.named("getMe"),
        operation_class=verb(refused="401"),
        summary="Who am I",
        description="The account behind the token, with its roles and permissions.",
        responses={200: openapi.answers(UserView, "The account")},
    )
    async def me(self, request: Request) -> Response[bytes]:
        return json(await sessions.get_me(runtime_of(request), caller_of(request)))

    @post(
        "/register",
        status_code=201,
        operation_id=openapi.named("register"),
        operation_class=openapi.shown(
            {
                "email": "dana@example.com",
                "password": "correct horse battery",
                "name": "Dana Levi",
                "account_type": "homeowner",
                "accept_terms": True,
            },
            "400 409 422 429",
        ),
        summary="Register",
        description="Opens an unverified account and mails a verification link. With REGISTER_ENUMERATION_SAFE "
        "the answer is a 202 that does not tell whether the address was known.",
        responses={
            201: openapi.answers(UserView, "The new account"),
            202: openapi.answers(Message, "Perhaps made: look into the mail"),
        },
        **OPEN,
    )
    async def register(self, request: Request, data: JSONBody[Registration]) -> Response[bytes]:
        made = await accounts.register(runtime_of(request), origin_of(request), data)
        if made is None:
            return json(Message("Check your mail to go on."), 202)
        return json(made, 201, {"Location": request.url.path.removesuffix("/register") + "/me"})

    @post(
        "/request-verify-token",
        status_code=202,
        operation_id=openapi.named("requestVerifyToken"),
        operation_class=openapi.shown({"email": "dana@example.com"}),
        summary="Mail the verification link again",
        description="Always the same answer, whether or not there is such an account.",
        responses={202: openapi.answers(Message, "Perhaps mailed")},
        **OPEN,
    )
    async def request_verify_token(self, request: Request, data: JSONBody[EmailBody]) -> Response[bytes]:
        return await _mail(request, "verify_email", data.email)

    @post(
        "/verify",
        status_code=200,
        operation_id=openapi.named("verifyEmail"),
        operation_class=openapi.shown({"token": "Zk1v…"}, "400 409 422 429"),
        summary="Verify an address",
        description="Takes the token of the mailed link, which works once and for 48 hours.",
        responses={200: openapi.answers(UserView, "The verified account")},
        **OPEN,
    )
    async def verify(self, request: Request, data: JSONBody[TokenBody]) -> Response[bytes]:
        return json(await accounts.verify_email(runtime_of(request), origin_of(request), data.token))

    @post(
        "/forgot-password",
        status_code=202,
        operation_id=openapi.named("forgotPassword"),
        operation_class=openapi.shown({"email": "dana@example.com"}),
        summary="Mail a reset link",
        description="Always the same answer, whether or not there is such an account.",
        responses={202: openapi.answers(Message, "Perhaps mailed")},
        **OPEN,
    )
    async def forgot_password(self, request: Request, data: JSONBody[EmailBody]) -> Response[bytes]:
        return await _mail(request, "reset_password", data.email)

    @post(
        "/reset-password",
        status_code=200,
        operation_id=openapi.named("resetPassword"),
        operation_class=openapi.shown({"token": "Zk1v…", "password": "correct horse battery"}),
        summary="Set a new password",
        description="Takes the token of the mailed link, which works once and for an hour; all sessions end.",
        responses={200: openapi.answers(Message, "Changed")},
        **OPEN,
    )
    async def reset_password(self, request: Request, data: JSONBody[PasswordReset]) -> Response[bytes]:
        await accounts.reset_password(runtime_of(request), origin_of(request), data)
        return json(Message("Password updated"))

    @post(
        "/change-password",
        status_code=200,
        operation_id=openapi.named("changePassword"),
        operation_class=openapi.shown(
            {"current_password": "yesterday's", "new_password": "correct horse battery"}, "400 401 422 429"
        ),
        summary="Change the password",
        description="Needs the present password; the other sessions end.",
        responses={200: openapi.answers(Message, "Changed")},
    )
    async def change_password(self, request: Request, data: JSONBody[PasswordChange]) -> Response[bytes]:
        await accounts.change_password(runtime_of(request), caller_of(request), data)
        return json(Message("Password updated"))

    @get(
        "/sessions",
        operation_id=openapi.named("listSessions"),
        operation_class=openapi.Paged,
        summary="List my sessions",
        description="Where this account is logged in, the last used session first.",
        responses={200: openapi.answers(SessionPage, "The sessions")},
    )
    async def list_sessions(self, request: Request) -> Response[bytes]:
        number, limit = paging(request)
        found, total = await sessions.list_sessions(runtime_of(request), caller_of(request), number, limit)
        if request.url.path.startswith("/api/v1/"):
            return json(page(found, total, number, limit))
        return json(found, headers={"X-Total-Count": str(total)})

    @delete(
        "/sessions",
        operation_id=openapi.named("endOtherSessions"),
        operation_class=verb(refused="401"),
        summary="End all other sessions",
        description="Ends every session of this account but the one that asks.",
    )
    async def end_other_sessions(self, request: Request) -> None:
        await sessions.end_other_sessions(runtime_of(request), caller_of(request))

    @delete(
        "/sessions/{session_id:str}",
        operation_id=openapi.named("endSession"),
        operation_class=verb(refused="401 404"),
        summary="End a session",
        description="Its refresh tokens end at once, its access tokens within five seconds.",
    )
    async def end_session(self, request: Request, session_id: FromPath[str]) -> None:
        await sessions.end_session(runtime_of(request), caller_of(request), row_id(session_id))


async def _mail(request: Request, purpose: str, email: str) -> Response[bytes]:
    """The answer first, the look-up after it."""
    runtime = runtime_of(request)
    await accounts.limit_mails(runtime, origin_of(request), purpose, email)
    answer = json(Message(MAILED), 202)
    answer.background = BackgroundTask(accounts.request_token, runtime, purpose, email)
    return answer


def mounts() -> tuple[Router, ...]:
    """One set of handlers at both documented places."""
    return tuple(Router(path, route_handlers=[AuthController]) for path in ("/api/v1/auth", "/api/auth"))
