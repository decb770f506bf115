"""What a resource is, said once: its table, rows, permissions, and what lists, bodies and imports may name."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table

from atrium.core.access import Policy, Principal, policy_of, policy_of_table
from atrium.core.db.columns import Mark
from atrium.core.db.entity import Entity
from atrium.core.db.wire import Field, fields_of
from atrium.core.errors import AtriumError, MethodNotAllowed, NotFound
from atrium.core.query.parse import Vocabulary
from atrium.core.resources.lists import Lists, read_order, search_text
from atrium.core.resources.schemas import Body
from atrium.core.statements.compiled import Cache
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
    sort: str = "-created_at"
    on_create: Prepare | None = None
    on_update: Prepare | None = None
    accepts: Mapping[str, Any] = field(default_factory=dict)
    update_if: Condition | None = None
    delete_if: Condition | None = None
    presets: Mapping[str, Preset] = field(default_factory=dict)
    history: bool = True
    max_limit: int = 100
    example: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        self.create, self.update, self.delete = (
            self.write if permission == "" else permission for permission in (self.create, self.update, self.delete)
        )
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
        self._lists = Lists(self.guarded, self.statements, self._search)
        self._check_declaration()

    def _check_declaration(self) -> None:
        named = {*self.filters, *self.sorts, *(order.column for order in self.default_order), *self.accepts}
        unknown = named - set(self.fields) - set(self.accepts)
        if unknown:
            raise ValueError(f"{self.name} names columns that it has not: {sorted(unknown)}")
        unordered = [name for name in (*self.filters, *self.sorts) if not self.fields[name].is_ordered]
        if unordered:
            raise ValueError(f"{self.name} cannot filter or sort by {sorted(unordered)}")
        if self.create is not None or self.update is not None:
            for reference in self._writable_keys():
                if policy_of_table(reference.column.table) is None and reference.column.table is not self.table:
                    raise ValueError(f"{self.name}: the parent of a writable key has no policy: {reference}")

    def _writable_keys(self) -> list[Any]:
        columns = (field.column for field in self.fields.values() if field.mark is not Mark.SYSTEM)
        return [key for column in columns for key in column.foreign_keys]

    def permissions(self) -> list[str]:
        return sorted({code for code in (self.read, self.create, self.update, self.delete) if code})

    # what comes in

    @functools.cache  # noqa: B019  resources live as long as the process
    def body(self, verb: str, kind: int, within: tuple[str, ...] = ()) -> Body:
        """The body of create or update for one kind of caller; `within` is what the path already says."""
        closed = {Mark.SYSTEM, Mark.PRIVATE} | ({Mark.CREATE_ONLY} if verb == "update" else set())
        stamps = self.policy.stamps(kind)
        open_fields = [
            field
            for field in self.fields.values()
            if field.mark not in closed
            and (self.policy.may_write(kind, field.name) or (verb == "create" and field.name in stamps))
        ]
        name = f"{self.model.__name__}{verb.capitalize()}"
        extra = self.accepts if verb == "create" else {}

        def required(known: Field) -> bool:
            named = known.name in stamps or known.name in extra or known.name in within
            return verb == "create" and known.required and not named

        return Body(name, open_fields, required, extra)

    @functools.cache  # noqa: B019
    def vocabulary(self, kind: int) -> Vocabulary:
        hidden = self.policy.hidden(kind)
        return Vocabulary(
            fields={name: known for name, known in self.fields.items() if name not in hidden and name != "deleted_at"},
            filters=frozenset({"id", *self.filters} - hidden),
            sorts=frozenset({"id", *self.sorts} - hidden),
            default_order=self.default_order,
            searchable=self._search is not None,
            max_limit=self.max_limit,
            presets=self.presets,
        )

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
