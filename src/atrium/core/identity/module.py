"""What identity shows to the application."""

from atrium.core.access import ADMIN
from atrium.core.identity import policies
from atrium.core.identity.controllers import mounts
from atrium.core.identity.models import (
    OneTimeToken,
    Permission,
    Role,
    RolePermission,
    Session,
    User,
    UserRole,
)
from atrium.core.identity.services.roles import catalogued
from atrium.core.identity.tokens import watching
from atrium.core.modules import Module
from atrium.core.modules import Role as ModuleRole

__all__ = ("module", "policies")

module = Module(
    "core",
    "Accounts and sessions",
    controllers=mounts(),
    roles=(ModuleRole(ADMIN, "Administrator", 100),),
    models=(User, Role, Permission, RolePermission, UserRole, Session, OneTimeToken),
    on_startup=(catalogued, watching),
)
