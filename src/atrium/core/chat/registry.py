"""What the modules brought along for conversations: lookups, subjects, and where a role is at home."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from atrium.core.access import Policy, Principal
from atrium.core.chat.errors import SubjectNotFound
from atrium.core.chat.policies import conversation_policy
from atrium.core.chat.subjects import ConversationSubject
from atrium.core.errors import Invalid
from atrium.core.lookups import Lookup
from atrium.core.runtime import Runtime

PLATFORM = "core"


@dataclass(frozen=True, slots=True, eq=False)
class Registry:
    """Made once per process; `policy` is the one that conversations have with all modules' subjects in it."""

    lookups: tuple[Lookup, ...] = ()
    subjects: tuple[ConversationSubject, ...] = ()
    modules: tuple[str, ...] = ()
    homes: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = field(init=False)

    def __post_init__(self) -> None:
        names = {*self.modules, *(subject.module for subject in self.subjects)}
        object.__setattr__(self, "policy", conversation_policy(self.subjects, sorted(names)))

    @classmethod
    def of(cls, modules: Iterable[Any], lookups: Iterable[Lookup] = ()) -> "Registry":
        """From the manifests; lookups that were given are taken instead of theirs."""
        modules = tuple(modules)
        return cls(
            lookups=tuple(lookups) or tuple(one for module in modules for one in module.lookups),
            subjects=tuple(one for module in modules for one in module.subjects),
            modules=tuple(module.name for module in modules),
            homes={role.code: module.name for module in modules for role in module.roles},
        )

    def open_to(self, principal: Principal) -> tuple[Lookup, ...]:
        return tuple(lookup for lookup in self.lookups if principal.may(lookup.permission))

    def home_of(self, principal: Principal) -> str:
        """The module of the caller's primary role."""
        if home := self.homes.get(principal.role):
            return home
        held = sorted({permission.partition(".")[0] for permission in principal.permissions})
        return next((module for module in held if module in self.modules), PLATFORM)

    def subject_named(self, field: str) -> ConversationSubject:
        for subject in self.subjects:
            if subject.field == field:
                return subject
        raise SubjectNotFound(f"There are no conversations about a {field.removesuffix('_id')} here.")

    def require_kind(self, kind: str, fields: Iterable[str]) -> None:
        """A shared conversation needs its subject; the kinds that no module brought do not exist."""
        needed = [subject.field for subject in self.subjects if kind in subject.kinds]
        if kind != "assistant" and not needed:
            raise Invalid.at("kind", f"there are no {kind} conversations here")
        if needed and not set(needed) & set(fields):
            raise Invalid.at(needed[0], f"is required for a conversation of kind {kind}", "missing")


def registry_of(runtime: Runtime) -> Registry:
    """What `chat` opened with the process, or what the application put into `parts` so far."""
    found = runtime.parts.get("conversations")
    if not isinstance(found, Registry):
        found = Registry.of(runtime.parts.get("modules", ()), runtime.parts.get("lookups", ()))
        runtime.parts["conversations"] = found
    return found
