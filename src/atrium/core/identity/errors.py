"""What goes wrong with accounts and sessions; the codes are part of the contract (platform.md §4.3)."""

from atrium.core.errors import Conflict, Forbidden, Invalid, Locked, Malformed, Unauthenticated


class LoginBadCredentials(Unauthenticated):
    """Wrong Credentials"""

    default_detail = "The account or the password is not right."


class LoginUserNotVerified(Forbidden):
    """Address Not Verified"""

    default_detail = "Confirm your e-mail address first: the link was mailed to you when you registered."


class UserInactive(Forbidden):
    """Account Not Active"""

    default_detail = "This account is not active. Ask an administrator."


class AccountLocked(Locked):
    """Account Locked"""

    def __init__(self, *, retry_after: int) -> None:
        minutes = -(-retry_after // 60)
        super().__init__(
            f"Too many failed attempts. Try again in {minutes} min or reset the password.",
            headers={"Retry-After": str(retry_after)},
        )


class RefreshInvalid(Unauthenticated):
    """Session Not Valid"""

    default_detail = "This refresh token is unknown, expired or revoked. Log in again."


class RefreshReused(Unauthenticated):
    """Session Ended"""

    default_detail = "This refresh token was used before, so its session has been ended. Log in again."


class RegisterUserAlreadyExists(Conflict):
    """Account Exists"""

    default_detail = "There is an account with this e-mail address. Log in or reset its password."


class RegisterInvalidPassword(Invalid):
    """Password Not Accepted"""


class ResetPasswordInvalidPassword(Invalid):
    """Password Not Accepted"""


class ResetPasswordBadToken(Malformed):
    """Reset Link Not Valid"""

    default_detail = "This reset link is unknown, used or expired. Ask for a new one."


class VerifyUserBadToken(Malformed):
    """Verification Link Not Valid"""

    default_detail = "This verification link is unknown, used or expired. Ask for a new one."


class VerifyUserAlreadyVerified(Conflict):
    """Already Verified"""

    default_detail = "This e-mail address is verified already."
