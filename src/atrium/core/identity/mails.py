"""The mails about an account; they keep it safe, so nobody can turn them off."""

from pathlib import Path
from typing import Any

from atrium.core.notifications.templates import mail_template

FOLDER = Path(__file__).parent / "mail_templates"
LINKED: dict[str, Any] = {"name": "Dana Levi", "link": "https://atrium.example/verify-email?token=mC2W4k0b3v"}

VERIFY_EMAIL = mail_template("verify_email", FOLDER, title="An address is to be confirmed", sample=LINKED)
RESET_PASSWORD = mail_template(
    "reset_password",
    FOLDER,
    title="Somebody forgot a password",
    sample={**LINKED, "link": "https://atrium.example/reset-password?token=mC2W4k0b3v"},
)
PASSWORD_CHANGED = mail_template(
    "password_changed", FOLDER, title="A password was changed", sample={"name": "Dana Levi"}
)
REGISTER_EXISTING = mail_template(
    "register_existing", FOLDER, title="Somebody registers with a known address", sample={"name": "Dana Levi"}
)
ACCOUNT_LOCKED = mail_template(
    "account_locked", FOLDER, title="Too many wrong passwords", sample={"failures": 10, "ip": "203.0.113.7"}
)
