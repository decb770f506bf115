"""Who is asking, and which rows and fields that opens: the only evaluator of row policies.

A policy is a set of clauses; each clause says for whom it is (a claim of the token, or a permission), which rows it
opens for reading and writing, which fields it hides and which it locks. Several clauses that apply add up. Nobody's
clause: no row. The clauses that apply form the policy's *kind*, a small integer: statements are compiled once per
kind and
take the caller's ids as parameters (`caller`).

Administrators see and write everything unless the policy says `administrators=False`; then their role, which holds
every permission, opens nothing, and only what is their own as a user does.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, bindparam, false, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from atrium.core.errors import Forbidden, NotFound

ADMIN = "admin"
CALLER = "caller_"
EVERYTHING = -1


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller, made from the token alone."""

    user_id: UUID
    role: str
    roles: frozenset[str]
    permissions: frozenset[str] = frozenset()
    claims: Mapping[str, UUID] = field(default_factory=dict)
    session_id: UUID | None = None
    version: int = 0
    expires_at: float = 0

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.roles

    def may(self, permission: str) -> bool:
        """Whether the caller holds the permission; an empty one is everybody's."""
        return not permission or ADMIN in self.roles or permission in self.permissions

    def require(self, permission: str) -> None:
        """403 for a role of the module that lacks the verb; for anybody else the module is not there (404)."""
        if self.may(permission):
            return
        module = permission.partition(".")[0] + "."
        if any(held.startswith(module) for held in self.permissions):
            raise Forbidden(f"Your role ({self.role}) may not do this: it needs {permission}.")
        raise NotFound

    def id_of(self, name: str) -> UUID | None:
        """The caller's own id of a kind: `user_id`, or a claim that a module added."""
        return self.user_id if name == "user_id" else self.claims.get(name)


def caller(name: str) -> ColumnElement[UUID]:
    """The caller's id as a statement parameter; a caller without that claim compares with NULL, which opens nothing."""
    return bindparam(CALLER + name, type_=Uuid(), required=False)


@dataclass(frozen=True, slots=True, eq=False)
class Clause:
    """What one sort of caller may do. `rows=None` is every row; `writes=False` makes the clause read-only."""

    claim: str | None = None
    permission: str | None = None
    without: str | None = None
    rows: ColumnElement[bool] | None = None
    writes: bool = True
    written: ColumnElement[bool] | None = None
    hidden: frozenset[str] = frozenset()
    locked: frozenset[str] = frozenset()
    unlocked: frozenset[str] | None = None
    stamps: Mapping[str, str] = field(default_factory=dict)

    def applies(self, principal: Principal) -> bool:
        if self.claim is not None and principal.id_of(self.claim) is None:
            return False
        if self.without is not None and principal.id_of(self.without) is not None:
            return False
        return self.permission is None or principal.may(self.permission)

    def may_write(self, name: str) -> bool:
        return self.writes and name not in self.locked and (self.unlocked is None or name in self.unlocked)

    def may_write_all(self, names: Iterable[str]) -> bool:
        return all(name in self.stamps or self.may_write(name) for name in names)

    @property
    def target(self) -> ColumnElement[bool] | None:
        """The rows it writes."""
        return self.rows if self.written is None else self.written

    @property
    def makes(self) -> bool:
        """Whether it makes and deletes whole rows, not only writes some fields of them."""
        return self.writes and self.unlocked is None


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    clauses: tuple[Clause, ...]
    administrators: bool = True

    def __or__(self, other: Self) -> "Policy":
        return Policy(self.clauses + other.clauses, self.administrators and other.administrators)

    def kind(self, principal: Principal) -> int:
        if principal.is_admin:
            if self.administrators:
                return EVERYTHING
            principal = replace(principal, roles=principal.roles - {ADMIN}, permissions=frozenset())
        return sum(1 << place for place, clause in enumerate(self.clauses) if clause.applies(principal))

    def _of(self, kind: int) -> tuple[Clause, ...]:
        if kind == EVERYTHING:
            return (Clause(),)
        return tuple(clause for place, clause in enumerate(self.clauses) if kind >> place & 1)

    def rows(self, kind: int) -> ColumnElement[bool] | None:
        """The rows this kind of caller may read; None means all."""
        return _any(clause.rows for clause in self._of(kind))

    def written(self, kind: int, fields: Iterable[str] = ()) -> ColumnElement[bool] | None:
        """The rows in which this kind of caller may write all of these fields, before and after; None means all.

        Clauses add up row by row: what one lets a caller write is not writable in the rows of another.
        """
        asked = tuple(fields)
        return _any(clause.target for clause in self._of(kind) if clause.writes and clause.may_write_all(asked))

    def removed(self, kind: int) -> ColumnElement[bool] | None:
        """The rows this kind of caller may delete: those in which it is not limited to some fields."""
        return _any(clause.target for clause in self._of(kind) if clause.makes)

    def is_mixed(self, kind: int) -> bool:
        """Whether several clauses let this kind of caller write, so that it depends on the row which fields it may."""
        return sum(clause.writes for clause in self._of(kind)) > 1

    def writes(self, kind: int) -> bool:
        """Whether this kind of caller may write any row at all."""
        return any(clause.writes for clause in self._of(kind))

    def hidden(self, kind: int) -> frozenset[str]:
        """Fields that do not exist for this kind of caller: hidden by any clause, unless one opens every row."""
        clauses = self._of(kind)
        if any(clause.rows is None and not clause.hidden for clause in clauses):
            return frozenset()
        return frozenset().union(*(clause.hidden for clause in clauses))

    def may_write(self, kind: int, name: str) -> bool:
        return any(clause.may_write(name) for clause in self._of(kind)) and name not in self.hidden(kind)

    def stamps(self, kind: int) -> Mapping[str, str]:
        """Columns that a new row gets from the caller: column -> claim; none where several clauses could make it."""
        clauses = self._of(kind)
        makers = [clause for clause in clauses if clause.makes] if len(clauses) > 1 else clauses
        return makers[0].stamps if len(makers) == 1 else {}

    @property
    def claims(self) -> frozenset[str]:
        return frozenset(clause.claim for clause in self.clauses if clause.claim)


def _any(parts: Iterable[ColumnElement[bool] | None]) -> ColumnElement[bool] | None:
    expressions: list[ColumnElement[bool]] = []
    for part in parts:
        if part is None:
            return None
        expressions.append(part)
    return or_(*expressions) if expressions else false()


def clause(
    *,
    claim: str | None = None,
    permission: str | None = None,
    without: str | None = None,
    rows: ColumnElement[bool] | None = None,
    writes: bool | ColumnElement[bool] = True,
    hidden: Collection[str] = (),
    locked: Collection[str] = (),
    unlocked: Collection[str] | None = None,
    stamps: Mapping[str, str] | None = None,
) -> Policy:
    """A policy of one clause; `writes` is False (read-only), True (the rows it reads) or the narrower rows it writes.

    Of the fields it may write all but the `locked` ones, or only the `unlocked` ones.
    """
    return Policy(
        (
            Clause(
                claim=claim,
                permission=permission,
                without=without,
                rows=rows,
                writes=writes is not False,
                written=None if isinstance(writes, bool) else writes,
                hidden=frozenset(hidden),
                locked=frozenset(locked),
                unlocked=None if unlocked is None else frozenset(unlocked),
                stamps=stamps or {},
            ),
        )
    )


def held_by(column: InstrumentedAttribute[Any], claim: str, **more: Any) -> Policy:
    """Rows whose column is the caller's own id; a new row gets it."""
    options = {"claim": claim, "rows": column == caller(claim), "stamps": {column.key: claim}}
    return clause(**{**options, **more})


def everyone(permission: str, *, writes: bool = False, hidden: Collection[str] = ()) -> Policy:
    """Every row, for those who hold the permission."""
    return clause(permission=permission, writes=writes, hidden=hidden)


def through(column: InstrumentedAttribute[Any], parent: type, **more: Any) -> Policy:
    """The rows whose parent the caller may see: the parent's policy, clause by clause."""
    policy = policy_of(parent)
    options = {"stamps": {}, "locked": frozenset(), "unlocked": None, "hidden": frozenset(), "written": None, **more}
    clauses = (
        replace(
            one,
            rows=None if one.rows is None else column.in_(_ids(parent, one.rows)),
            **options,
        )
        for one in policy.clauses
    )
    return Policy(tuple(clauses), policy.administrators)


def _ids(parent: Any, rows: ColumnElement[bool]) -> Select[tuple[UUID]]:
    found = select(parent.id).where(rows)
    return found.where(parent.deleted_at.is_(None)) if hasattr(parent, "deleted_at") else found


_POLICIES: dict[type, Policy] = {}


def protect(model: type, policy: Policy) -> Policy:
    """Declare a model's policy; every resource, service, job and lookup finds it here."""
    if model in _POLICIES:
        raise ValueError(f"{model.__name__} already has a policy")
    _POLICIES[model] = policy
    return policy


def policy_of(model: type) -> Policy:
    try:
        return _POLICIES[model]
    except KeyError:
        raise LookupError(f"{model.__name__} has no policy: protect() it in its module's policies.py") from None


def policy_of_table(table: Any) -> tuple[type, Policy] | None:
    """The model and policy of a table, for foreign keys; None when the table is nobody's to name."""
    return next(((model, policy) for model, policy in _POLICIES.items() if model.__table__ is table), None)  # type: ignore[attr-defined]
