"""Accounts, roles with their permissions, sessions and one-time tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, LargeBinary, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import CITEXT, INET
from sqlalchemy.orm import Mapped

from atrium.core.db.columns import PRIVATE, SYSTEM, check, field
from atrium.core.db.entity import Entity, Json

ROLE_MODULES = ("platform", "wealth", "marketplace", "crm", "insights", "assessments")
PURPOSES = ("verify_email", "reset_password", "change_email", "invite", "mfa_challenge", "mfa_recovery")


class User(Entity, table="core.users"):
    """A person or a machine that can be a caller.

    A login does not touch `updated_at`: it is no change of the record, and the revocation poll finds changed
    users by it.
    """

    __table_args__ = (
        check(
            "is_system OR hashed_password IS NOT NULL OR NOT is_verified",
            "credentials",
            "a verified account needs a password",
            ("is_verified",),
        ),
        Index("ix_users_is_active", "is_active"),
        Index("ix_users_name", "name", postgresql_using="gin", postgresql_ops={"name": "gin_trgm_ops"}),
        Index("ix_users_updated_at", "updated_at"),
    )

    email: Mapped[str] = field(type_=CITEXT(), unique=True, mark=SYSTEM)
    username: Mapped[str | None] = field(type_=CITEXT(), unique=True, pattern="^[a-z0-9_.-]{2,50}$")
    name: Mapped[str]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    phone_e164: Mapped[str | None]
    hashed_password: Mapped[str | None] = field(mark=PRIVATE)
    is_active: Mapped[bool] = field(default=True)
    is_superuser: Mapped[bool] = field(default=False, mark=SYSTEM)
    is_verified: Mapped[bool] = field(default=False, mark=SYSTEM)
    is_system: Mapped[bool] = field(default=False, mark=SYSTEM)
    verified_at: Mapped[datetime | None] = field(mark=SYSTEM)
    locale: Mapped[str] = field(default="en")
    timezone: Mapped[str] = field(default="UTC")
    mfa_secret_enc: Mapped[bytes | None] = field(type_=LargeBinary(), mark=PRIVATE)
    mfa_enabled_at: Mapped[datetime | None] = field(mark=SYSTEM)
    failed_login_count: Mapped[int] = field(default=0, ge=0, mark=SYSTEM)
    locked_until: Mapped[datetime | None] = field(mark=SYSTEM)
    last_login_at: Mapped[datetime | None] = field(mark=SYSTEM)
    password_changed_at: Mapped[datetime | None] = field(mark=SYSTEM)
    token_version: Mapped[int] = field(default=0, mark=SYSTEM)
    preferences: Mapped[Json] = field(default={})
    deleted_at: Mapped[datetime | None] = field(mark=SYSTEM)


class Role(Entity, table="core.roles"):
    """A bundle of permissions within one system, or `admin` over all of them."""

    code: Mapped[str] = field(unique=True)
    module: Mapped[str] = field(choices=ROLE_MODULES)
    name: Mapped[str]
    rank: Mapped[int] = field(type_=SmallInteger())
    is_assignable: Mapped[bool] = field(default=True)
    self_register: Mapped[bool] = field(default=False)


class Permission(Entity, table="core.permissions"):
    """Something that can be allowed: `module.resource.action`."""

    audited = False

    code: Mapped[str] = field(unique=True)
    module: Mapped[str]
    description: Mapped[str]


class RolePermission(Entity, table="core.role_permissions"):
    """A role allows something."""

    __table_args__ = (UniqueConstraint("role_id", "permission_id"),)

    role_id: Mapped[UUID] = field(references="core.roles.id", on_delete="CASCADE", scope=True, index=False)
    permission_id: Mapped[UUID] = field(references="core.permissions.id", on_delete="CASCADE")


class UserRole(Entity, table="core.user_roles"):
    """A user holds a role, for good or until a day. The primary one is the `role` of answers and tokens."""

    __table_args__ = (
        UniqueConstraint("user_id", "role_id"),
        Index("uq_user_roles_primary", "user_id", unique=True, postgresql_where=text("is_primary")),
    )

    user_id: Mapped[UUID] = field(references="core.users.id", on_delete="CASCADE", scope=True, index=False)
    role_id: Mapped[UUID] = field(references="core.roles.id")
    is_primary: Mapped[bool] = field(default=False)
    granted_by: Mapped[UUID | None] = field(references="core.users.id", index=False, mark=SYSTEM)
    expires_at: Mapped[datetime | None]


class Session(Entity, table="core.sessions"):
    """One refresh token. Those that follow one another are a family, which is the session that a user sees."""

    audited = False
    __table_args__ = (
        check("expires_at > issued_at", "lifetime"),
        Index("ix_sessions_user_id", "user_id", "revoked_at"),
        Index("ix_sessions_family_id", "family_id"),
        Index("ix_sessions_expires_at", "expires_at"),
        Index("ix_sessions_revoked_at", "revoked_at", postgresql_where=text("revoked_at IS NOT NULL")),
    )

    user_id: Mapped[UUID] = field(references="core.users.id", on_delete="CASCADE", index=False, mark=SYSTEM)
    family_id: Mapped[UUID] = field(mark=SYSTEM)
    token_sha256: Mapped[bytes] = field(type_=LargeBinary(), unique=True, mark=PRIVATE)
    replaced_by_id: Mapped[UUID | None] = field(references="core.sessions.id", on_delete="SET NULL", mark=SYSTEM)
    issued_at: Mapped[datetime] = field(mark=SYSTEM)
    expires_at: Mapped[datetime] = field(mark=SYSTEM)
    used_at: Mapped[datetime | None] = field(mark=SYSTEM)
    revoked_at: Mapped[datetime | None] = field(mark=SYSTEM)
    revoke_reason: Mapped[str | None] = field(mark=SYSTEM)
    ip: Mapped[str | None] = field(type_=INET(), mark=SYSTEM)
    user_agent: Mapped[str | None] = field(mark=SYSTEM)
    mfa_at: Mapped[datetime | None] = field(mark=SYSTEM)


class OneTimeToken(Entity, table="core.one_time_tokens"):
    """Proof that somebody reads an address; mailed once, stored as a hash, used once."""

    audited = False
    __table_args__ = (
        check("expires_at IS NOT NULL OR purpose = 'mfa_recovery'", "expiry"),
        check("user_id IS NOT NULL OR purpose = 'invite'", "owner"),
        Index("ix_one_time_tokens_user_id", "user_id", "purpose", postgresql_where=text("consumed_at IS NULL")),
        Index("ix_one_time_tokens_expires_at", "expires_at"),
    )

    user_id: Mapped[UUID | None] = field(references="core.users.id", on_delete="CASCADE", index=False, mark=SYSTEM)
    purpose: Mapped[str] = field(choices=PURPOSES, mark=SYSTEM)
    token_sha256: Mapped[bytes] = field(type_=LargeBinary(), unique=True, mark=PRIVATE)
    email: Mapped[str | None] = field(type_=CITEXT(), mark=SYSTEM)
    payload: Mapped[Json] = field(default={}, mark=PRIVATE)
    expires_at: Mapped[datetime | None] = field(mark=SYSTEM)
    consumed_at: Mapped[datetime | None] = field(mark=SYSTEM)
