"""Settings: read from the environment once by an entry point, then handed on; nothing else looks at the environment.

A field's variable is its name in capitals. `.env.example` documents every one of them; a test keeps the two equal.
"""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from atrium.core import tracing

INSECURE_SECRET = "change-me-this-secret-is-for-development-only"  # noqa: S105  the value that production refuses
IGNORED = (  # names that the documented systems used; accepted so that an old .env starts
    "CELERY_BROKER_URL",
    "CELERY_RESULT_BACKEND",
    "SUPABASE_URL",
    "SUPABASE_ANON_KEY",
    "SUPABASE_SERVICE_ROLE_KEY",
)

SENDER = re.compile(r"[^\s@<>]+@[^\s@<>]+|[^<>\x00-\x1f\x7f]*<[^\s@<>]+@[^\s@<>]+>")
Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[int, Meta(ge=1)]


class InvalidSettings(Exception):
    """Every variable that cannot be used, and why."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("The settings cannot be used:\n" + "\n".join(f"  {line}" for line in problems))
        self.problems = problems


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    environment: Literal["development", "test", "production"] = "development"
    debug: bool = False

    database_url: str = ""
    database_pooler: Literal["session", "transaction"] = "session"
    database_pool_size: Positive = 8
    database_timeout_seconds: Positive = 30
    database_direct_url: str = ""
    query_timeout_seconds: Positive = 10
    redis_url: str = ""
    redis_prefix: str = "atrium"

    secret_key: str = INSECURE_SECRET
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    access_token_expire_minutes: Positive = 15
    refresh_token_expire_days: Positive = 30
    register_enumeration_safe: bool | None = None
    login_rate_per_minute: Annotated[int, Meta(ge=0)] = 5
    register_rate_per_hour: Annotated[int, Meta(ge=0)] = 10
    verification_rate_per_hour: Annotated[int, Meta(ge=0)] = 3
    general_rate_per_minute: Annotated[int, Meta(ge=0)] = 300
    anonymous_rate_per_minute: Annotated[int, Meta(ge=0)] = 60
    query_rate_per_minute: Annotated[int, Meta(ge=0)] = 30

    backend_cors_origins: tuple[str, ...] = (
        "http://localhost:5173",
        "http://localhost:3000",
        "http://localhost:3001",
    )
    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    metrics_allow: tuple[str, ...] = ()
    metrics_token: str = ""
    public_url: str = "http://localhost:8000"
    max_body_bytes: Positive = 1_048_576
    max_import_bytes: Positive = 268_435_456

    openai_api_key: str = ""
    openai_base_url: str = "https://api.openai.com/v1"
    openai_model: str = "gpt-4o-mini"
    openai_timeout_seconds: Positive = 30

    smtp_host: str = ""
    smtp_port: Port = 587
    smtp_username: str = ""
    smtp_password: str = ""
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    smtp_from: str = ""
    smtp_timeout_seconds: Positive = 30
    notification_retention_days: Annotated[int, Meta(ge=0)] = 365
    mail_retention_days: Annotated[int, Meta(ge=0)] = 90

    webhook_allowed_networks: tuple[str, ...] = ()

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    access_log: bool = True
    slow_query_ms: Annotated[int, Meta(ge=0)] = 500
    otel_enabled: bool | None = None
    otel_exporter_otlp_endpoint: str = ""
    otel_service_name: str = "atrium"

    worker_concurrency: Positive = 8
    task_heartbeat_seconds: Positive = 30
    task_stale_seconds: Positive = 120
    sweep_seconds: Positive = 5
    task_retention_days: Positive = 30
    dead_letter_retention_days: Positive = 90

    audit_key: str = ""
    audit_keys_retired: tuple[str, ...] = ()
    change_retention_months: Annotated[int, Meta(ge=0)] = 0

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @property
    def owner_url(self) -> str:
        """Where the schema is changed: as its owner, and past a pooler."""
        return self.database_direct_url or self.database_url

    @property
    def hides_existing_accounts(self) -> bool:
        """Whether registering a known address answers like an unknown one (the default in production)."""
        return self.is_production if self.register_enumeration_safe is None else self.register_enumeration_safe

    @property
    def traces(self) -> bool:
        """Whether spans are sent: said outright, or by naming who receives them."""
        return bool(self.otel_exporter_otlp_endpoint) if self.otel_enabled is None else self.otel_enabled

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **overrides: Any) -> Self:
        """Settings from variables; raises InvalidSettings naming all bad ones at once."""
        environ = {**environ, "ENVIRONMENT": environ.get("ENVIRONMENT") or environ.get("APP_ENV") or "development"}
        values: dict[str, Any] = {}
        problems: list[str] = []
        for field in msgspec.structs.fields(cls):
            raw = environ.get(field.name.upper())
            if raw is None or raw == "":
                continue
            try:
                values[field.name] = msgspec.convert(_plain(raw, field.type), field.type, strict=False)
            except msgspec.ValidationError as error:
                problems.append(f"{field.name.upper()}: {error}")
        if not problems:
            settings = cls(**{**values, **overrides})
            problems = settings.problems()
            if not problems:
                return settings
        raise InvalidSettings(problems)

    def problems(self) -> list[str]:
        """What is wrong between fields, as sentences an operator can act on."""
        found = []
        if self.is_production and self.secret_key == INSECURE_SECRET:
            found.append("SECRET_KEY: production needs a secret of its own, e.g. from `openssl rand -hex 32`")
        if len(self.secret_key) < 32:
            found.append("SECRET_KEY: must be at least 32 characters long")
        if self.audit_key and len(self.audit_key) < 32:
            found.append("AUDIT_KEY: must be at least 32 characters long")
        if self.is_production and not (self.database_url and self.redis_url):
            found.append("DATABASE_URL, REDIS_URL: production names its own servers")
        for name in ("database_url", "database_direct_url"):
            url = getattr(self, name)
            if url and not url.startswith(("postgresql://", "postgres://", "postgresql+")):
                found.append(f"{name.upper()}: must start with postgresql://")
        if self.redis_url and not self.redis_url.startswith(("redis://", "rediss://", "valkey://")):
            found.append("REDIS_URL: must start with redis:// or rediss://")
        found += self._mail_problems()
        if wrong := [text for text in self.webhook_allowed_networks if not _is_network(text)]:
            found.append(f"WEBHOOK_ALLOWED_NETWORKS: {', '.join(wrong)} is no network such as 10.1.0.0/16")
        if self.traces and not tracing.is_installed():
            found.append("OTEL_ENABLED: spans need the extra `otel`; install atrium[otel], or set it to false")
        return found

    def _mail_problems(self) -> list[str]:
        if not self.smtp_host:
            return []
        found = []
        if not SENDER.fullmatch(self.smtp_from):
            found.append("SMTP_FROM: must be an address, or a name with one as in Atrium <no-reply@example.com>")
        if bool(self.smtp_username) != bool(self.smtp_password):
            found.append("SMTP_USERNAME, SMTP_PASSWORD: one is of no use without the other")
        if self.is_production and self.smtp_password and self.smtp_tls == "none":
            found.append("SMTP_TLS: none would show the password to everybody on the way")
        return found


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _plain(raw: str, kind: Any) -> Any:
    """Lists are written with commas; everything else converts from text by itself."""
    if getattr(kind, "__origin__", None) is tuple:
        text = raw.strip()[1:-1].replace('"', "") if raw.lstrip().startswith('["') else raw
        return [part.strip() for part in text.split(",") if part.strip()]
    return raw


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a `.env` file: KEY=value lines, optional quotes, `#` comments."""
    if not path.is_file():
        return {}
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            found[name.strip()] = value.split(" #")[0].strip().strip("\"'")
    return found
