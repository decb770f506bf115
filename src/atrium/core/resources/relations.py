"""What a resource's rows are related to, and what a caller sees of that.

    relations={"advisor": one("advisor_id"), "orders": many("wealth.orders.client_id")}

A relation leads to the main resource of the other table, found when it is first asked for, since modules declare their
resources in any order. That resource's own policy and read permission apply: who may not read it at all has no such
relation, and fields hidden from a caller there are hidden from here.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table

from atrium.core.access import Principal
from atrium.core.query.vocabulary import Related, Vocabulary
from atrium.core.statements.seen import Link, Seen

if TYPE_CHECKING:
    from atrium.core.resources.declaration import Declaration

_MAIN: dict[str, "Declaration"] = {}
"""By table: the first resource that was declared over it."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A foreign key, seen from the row that holds it or from the one that it names."""

    key: str
    many: bool


def one(column: str) -> Relation:
    """To the row that the column's foreign key names."""
    return Relation(column, many=False)


def many(column: str) -> Relation:
    """To the rows whose column, `schema.table.column`, names this one."""
    return Relation(column, many=True)


def register(resource: "Declaration") -> None:
    _MAIN.setdefault(resource.table.fullname, resource)


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    here: str
    there: str
    target: "Declaration"


@functools.cache
def resolve(resource: "Declaration", name: str) -> Resolved:
    """Raises LookupError with a sentence for whoever declared it."""
    relation = resource.relations[name]
    where = f"{resource.name}.{name}"
    if relation.many:
        table, _, column = relation.key.rpartition(".")
        target = _main(table, where)
        _require(target.table, column, where)
        return Resolved("id", column, target)
    _require(resource.table, relation.key, where)
    keys = list(resource.table.c[relation.key].foreign_keys)
    if len(keys) != 1:
        raise LookupError(f"{where}: {relation.key} is not a foreign key")
    table, _, column = keys[0].target_fullname.rpartition(".")
    return Resolved(relation.key, column, _main(table, where))


def _main(table: str, where: str) -> "Declaration":
    if table not in _MAIN:
        raise LookupError(f"{where}: no resource is declared over {table}")
    return _MAIN[table]


def _require(table: Table, column: str, where: str) -> None:
    if column not in table.c:
        raise LookupError(f"{where}: {table.fullname} has no column {column}")


def faults(resources: tuple[Any, ...]) -> list[str]:
    """Relations that lead nowhere, as sentences; asked once, when all modules are known."""
    found = []
    for resource in resources:
        for name in resource.relations:
            try:
                resolve(resource, name)
            except LookupError as error:
                found.append(str(error.args[0]))
    return found


class Sight:
    """A resource as one caller sees it, with what its relations lead to.

    Made when a query is read anew, not per request: `used` collects the resources that the query went to, by whose
    policy kinds what was read is kept.
    """

    def __init__(
        self, resource: "Declaration", principal: Principal, used: "dict[Declaration, None] | None" = None
    ) -> None:
        self._resource, self._principal = resource, principal
        self.kind = resource.policy.kind(principal)
        self.used: dict[Declaration, None] = {} if used is None else used
        self._links: dict[str, Sight] = {}

    @property
    def words(self) -> Vocabulary:
        plain = self._resource.vocabulary(self.kind)
        return plain.with_relations(_Lazy(self._related)) if self._resource.relations else plain

    @property
    def seen(self) -> Seen:
        return self._resource.seen(self.kind, self._link)

    def standing(self) -> tuple[int | None, ...]:
        return standing(tuple(self.used), self._principal)

    def _related(self) -> Mapping[str, Related]:
        """A key that is hidden from the caller leads nowhere, as does a resource that the caller may not read."""
        found = {}
        for name, relation in self._resource.relations.items():
            resolved = resolve(self._resource, name)
            hidden = self._resource.policy.hidden(self.kind)
            behind = resolved.target.policy.hidden(resolved.target.policy.kind(self._principal))
            if (
                resolved.here not in hidden
                and resolved.there not in behind
                and self._principal.may(resolved.target.read)
            ):
                found[name] = Related(relation.many, lambda name=name: self._follow(name).words)  # type: ignore[misc]
        return found

    def _follow(self, name: str) -> "Sight":
        if name not in self._links:
            target = resolve(self._resource, name).target
            self.used[target] = None
            self._links[name] = Sight(target, self._principal, self.used)
        return self._links[name]

    def _link(self, name: str) -> Link:
        resolved = resolve(self._resource, name)
        return Link(resolved.here, resolved.there, self._follow(name).seen)


class _Lazy(Mapping[str, Related]):
    """Relations that are looked up only by queries that could mean one."""

    def __init__(self, found: Callable[[], Mapping[str, Related]]) -> None:
        self._find = found

    @functools.cached_property
    def _found(self) -> Mapping[str, Related]:
        return self._find()

    def __getitem__(self, name: str) -> Related:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def standing(used: "tuple[Declaration, ...]", principal: Principal) -> tuple[int | None, ...]:
    """What the caller is to each of the resources; None where the caller may not read it."""
    return tuple(one.policy.kind(principal) if principal.may(one.read) else None for one in used)
