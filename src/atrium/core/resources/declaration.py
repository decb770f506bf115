"""What a resource is, said once: its table, rows, permissions, and what lists, bodies and imports may name."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, UniqueConstraint
from sqlalchemy.sql import visitors

from atrium.core.access import Policy, Principal, policy_of, policy_of_table
from atrium.core.db.columns import Mark
from atrium.core.db.entity import Entity
from atrium.core.db.routines import deferred_tables
from atrium.core.db.wire import Field, fields_of
from atrium.core.errors import AtriumError, MethodNotAllowed, NotFound
from atrium.core.query.ast import RELEVANCE, Order
from atrium.core.query.vocabulary import RESERVED, Vocabulary
from atrium.core.resources.lists import Lists, read_order, search_text
from atrium.core.resources.relations import Relation, register
from atrium.core.resources.schemas import Body
from atrium.core.statements.compiled import Cache
from atrium.core.statements.seen import Link, Seen, leads_nowhere
from atrium.core.statements.table import Guarded

Prepare = Callable[[dict[str, Any], Principal, datetime], dict[str, Any]]
Condition = tuple[ColumnElement[bool], Callable[[dict[str, Any]], AtriumError]]
Preset = Callable[[str], tuple[tuple[str, str, Any], ...]]
PARAMETERS = re.compile(r"\{(\w+)\}")


@dataclass(eq=False)
class Declaration:
    model: type[Entity]
    path: str
    tag: str = ""
    also: tuple[str, ...] = ()
    read: str = ""
    write: str | None = None
    create: str | None = ""
    update: str | None = ""
    delete: str | None = ""
    filters: tuple[str, ...] = ()
    sorts: tuple[str, ...] = ("created_at",)
    search: Sequence[str] | ColumnElement[str] = ()
    fulltext: tuple[str, ...] = ()
    relations: Mapping[str, Relation] = field(default_factory=dict)
    sort: str = "-created_at"
    on_create: Prepare | None = None
    on_update: Prepare | None = None
    accepts: Mapping[str, Any] = field(default_factory=dict)
    update_if: Condition | None = None
    delete_if: Condition | None = None
    upsert: tuple[str, ...] = ()
    """The columns by which a record is found when it is put instead of made; something must keep them unique."""
    restores: bool | str = False
    """Whether what was deleted comes back: for those who may delete, or for those who hold this permission."""
    presets: Mapping[str, Preset] = field(default_factory=dict)
    history: bool = True
    imports: bool = True
    exports: bool = True
    max_limit: int = 100
    example: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        self.create, self.update, self.delete = (
            self.write if permission == "" else permission for permission in (self.create, self.update, self.delete)
        )
        self.restore = self.restores if isinstance(self.restores, str) else self.delete if self.restores else None
        table: Table = self.model.__table__  # type: ignore[assignment]
        self.table = table
        self.name = self.name or table.name
        self.title = self.title or (self.model.__doc__ or self.name).strip().splitlines()[0].rstrip(".")
        self.policy: Policy = policy_of(self.model)
        self.fields: Mapping[str, Field] = fields_of(self.model)
        self.guarded = Guarded(table, dict(self.fields), self.policy)
        self.statements = Cache()
        self.default_order = read_order(self.sort)
        self._search = search_text(self.search, table)
        self._fulltext = search_text(self.fulltext, table)
        self._lists = Lists(self)
        self._check_declaration()
        register(self)

    def _check_declaration(self) -> None:
        named = {*self.filters, *self.sorts, *(order.column for order in self.default_order), *self.accepts}
        unknown = named - set(self.fields) - set(self.accepts)
        if unknown:
            raise ValueError(f"{self.name} names columns that it has not: {sorted(unknown)}")
        taken = set(self.relations) & {*self.table.c.keys(), *RESERVED, *self.presets}
        if taken or (self.fulltext and RELEVANCE in self.fields):
            raise ValueError(f"{self.name}: {sorted(taken) or RELEVANCE} already means something else")
        unordered = [name for name in (*self.filters, *self.sorts) if not self.fields[name].is_ordered]
        if unordered:
            raise ValueError(f"{self.name} cannot filter or sort by {sorted(unordered)}")
        if self.create is not None or self.update is not None:
            for reference in self._writable_keys():
                if policy_of_table(reference.column.table) is None and reference.column.table is not self.table:
                    raise ValueError(f"{self.name}: the parent of a writable key has no policy: {reference}")

        self._check_key()
        self._check_deferred()
        if self.restores and "deleted_at" not in self.table.c:
            raise ValueError(f"{self.name} cannot be restored: what is deleted is not kept")

    def _check_deferred(self) -> None:
        """A statement that is its own transaction is answered before a deferred constraint is asked."""
        if self.create is None and self.update is None and self.delete is None:
            return
        late = [one for one in self.table.constraints if getattr(one, "deferrable", None)]
        if late or self.table.fullname in deferred_tables():
            raise ValueError(f"{self.name} is not for plain writes: a deferred constraint judges them at the end")

    def _check_key(self) -> None:
        """A key that two rows may share finds neither."""
        if not self.upsert:
            return
        unique = [one.columns for one in self.table.constraints if isinstance(one, UniqueConstraint)]
        unique += [index.columns for index in self.table.indexes if index.unique]
        if not any({column.name for column in columns} == set(self.upsert) for columns in unique):
            raise ValueError(f"{self.name} cannot be put by {self.upsert}: nothing keeps it unique")
        if self.create is None or self.update is None:
            raise ValueError(f"{self.name} cannot be put by key: it is not both made and changed")

    def _writable_keys(self) -> list[Any]:
        columns = (field.column for field in self.fields.values() if field.mark is not Mark.SYSTEM)
        return [key for column in columns for key in column.foreign_keys]

    def permissions(self) -> list[str]:
        return sorted({code for code in (self.read, self.create, self.update, self.delete, self.restore) if code})

    # what comes in

    @functools.cache  # noqa: B019  resources live as long as the process
    def body(self, verb: str, kind: int, within: tuple[str, ...] = ()) -> Body:
        """The body of create, update or upsert for one kind of caller; `within` is what the path already says."""
        closed = {Mark.SYSTEM, Mark.PRIVATE} | ({Mark.CREATE_ONLY} if verb == "update" else set())
        stamps, key = self.policy.stamps(kind), self.upsert if verb == "upsert" else ()
        hidden = self.policy.hidden(kind)
        open_fields = [
            field
            for field in self.fields.values()
            if (field.name in key and field.mark is Mark.SYSTEM and field.name not in hidden)
            or (
                field.mark not in closed
                and (self.policy.may_write(kind, field.name) or (verb != "update" and field.name in stamps))
            )
        ]
        name = f"{self.model.__name__}{verb.capitalize()}"
        extra = self.accepts if verb != "update" else {}

        def required(known: Field) -> bool:
            named = known.name in stamps or known.name in extra or known.name in within
            return verb == "create" and known.required and not named

        return Body(name, open_fields, required, extra)

    @functools.cache  # noqa: B019
    def vocabulary(self, kind: int) -> Vocabulary:
        """What one kind of caller may say; relations depend on more than that (`relations.Sight`)."""
        hidden = self.policy.hidden(kind)
        by_default = self.default_order
        if any(order.column in hidden for order in by_default):
            by_default = (Order("id", by_default[-1].descending),)
        return Vocabulary(
            fields={name: known for name, known in self.fields.items() if name not in hidden and name != "deleted_at"},
            filters=frozenset({"id", *self.filters} - hidden),
            sorts=frozenset({"id", *self.sorts} - hidden),
            default_order=by_default,
            searchable=self._is_open(self._search, hidden),
            matchable=self._is_open(self._fulltext, hidden),
            max_limit=self.max_limit,
            presets=self.presets,
        )

    def _is_open(self, text: ColumnElement[str] | None, hidden: frozenset[str]) -> bool:
        """A text that holds a hidden field is not searched: its words would tell what the field says."""
        if text is None:
            return False
        return not any(getattr(part, "name", None) in hidden for part in visitors.iterate(text))

    def seen(self, kind: int, follow: Callable[[str], Link] = leads_nowhere) -> Seen:
        return Seen(self.guarded, kind, self._search, self._fulltext, follow)

    def _require(self, permission: str | None, principal: Principal) -> None:
        if permission is None:
            principal.require(self.read)
            raise MethodNotAllowed(f"{self.name} do not take this method.")
        principal.require(permission)

    def _writer(self, principal: Principal) -> int:
        kind = self.policy.kind(principal)
        if kind == 0:
            raise NotFound
        return kind

    def noun(self) -> str:
        """What one record is called in a sentence."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.model.__name__).lower()
