"""Conversations and messages as PostgreSQL renders them for a caller: page, record and policy in one statement.

A conversation is seen together with the links of its subjects, so that `client_id` is a field of it like any other.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Select, bindparam, select

from atrium.core.access import EVERYTHING, Clause, Policy, Principal
from atrium.core.chat.models import Conversation, Message
from atrium.core.chat.registry import Registry, registry_of
from atrium.core.db.entity import Row
from atrium.core.db.wire import Field, field_of, fields_of
from atrium.core.errors import NotFound
from atrium.core.query import build
from atrium.core.query.ast import Order, Query
from atrium.core.query.cursors import signature
from atrium.core.query.parse import parse
from atrium.core.query.vocabulary import Vocabulary
from atrium.core.resources.reading import Page, Record, page_of
from atrium.core.runtime import Runtime
from atrium.core.statements import reads
from atrium.core.statements.compiled import Cache
from atrium.core.statements.seen import Seen
from atrium.core.statements.table import WITHIN, Guarded, as_bytes, record

OPEN = Policy((Clause(),))
"""For rows whose policy already stands in the statement."""

NO_CONVERSATION = "There is no conversation with this id, or you take no part in it."
MESSAGE_FILTERS = ("id", "role", "status", "sender_user_id", "sequence", "created_at", "read_at")
CONVERSATION_FILTERS = ("id", "kind", "status", "module", "user_id", "last_message_at", "created_at")


class Records:
    """The compiled statements of one registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._statements = Cache()
        linked = {subject.field: field_of(subject.table.c[subject.field]) for subject in registry.subjects}
        self.conversation_fields: dict[str, Field] = {**fields_of(Conversation), **linked}
        self._conversation_words = Vocabulary(
            fields=self.conversation_fields,
            filters=frozenset((*CONVERSATION_FILTERS, *linked)),
            sorts=frozenset(("id", "last_message_at", "created_at", "message_count")),
            default_order=(Order("last_message_at", True), Order("id", True)),
        )
        self._message_words = Vocabulary(
            fields=fields_of(Message),
            filters=frozenset(MESSAGE_FILTERS),
            sorts=frozenset(("id", "sequence", "created_at")),
            default_order=(Order("sequence", False), Order("id", False)),
        )

    async def conversations(self, connection: Any, principal: Principal, query_string: str) -> Page:
        """Those that the caller may read."""
        kind = self.registry.policy.kind(principal)
        query = parse(query_string, self._conversation_words)
        return await self._page(connection, principal, query, ("conversations", kind), lambda: self._seen(kind), {})

    async def messages(self, connection: Any, principal: Principal, conversation_id: UUID, query_string: str) -> Page:
        await self.conversation(connection, principal, conversation_id)
        query = parse(query_string, self._message_words)
        within = {"conversation_id": conversation_id}
        return await self._page(connection, principal, query, ("messages",), lambda: _all_of(Message), within)

    async def conversation(self, connection: Any, principal: Principal, conversation_id: UUID) -> Record:
        kind = self.registry.policy.kind(principal)
        statement = self._statements.get(("conversation", kind), lambda: reads.one(self._seen(kind), EVERYTHING))
        rows = await connection.fetch(statement.sql, *statement.arguments({"id": conversation_id}, principal))
        if not rows:
            raise NotFound(NO_CONVERSATION)
        return Record(rows[0][0], rows[0][1], conversation_id)

    async def part(self, connection: Any, model: type[Row], row_id: UUID) -> bytes:
        """A message or summary of a conversation that the caller is known to see."""
        statement = self._statements.get(("part", model), lambda: _rendered(model))
        return bytes(await connection.fetchval(statement.sql, row_id))

    async def raw(self, connection: Any, model: type[Row], row_id: UUID) -> msgspec.Raw:
        """The same as a member of a larger answer."""
        return msgspec.Raw(await self.part(connection, model, row_id))

    async def _page(
        self,
        connection: Any,
        principal: Principal,
        query: Query,
        key: tuple[Any, ...],
        guarded: Callable[[], Guarded],
        within: Mapping[str, UUID],
    ) -> Page:
        shape = replace(query.shape, estimated=False)  # nobody has that many conversations
        nulls = tuple(value is None for value in query.after)
        statement = self._statements.get(
            (*key, shape, nulls),
            lambda: reads.page(Seen(guarded(), EVERYTHING), shape, nulls=nulls, within=tuple(within)),
        )
        values = build.bind(query) | {WITHIN + name: value for name, value in within.items()}
        row = (await connection.fetch(statement.sql, *statement.arguments(values, principal)))[0]
        return page_of(row, query, signature(query), row[0])

    def _seen(self, kind: int) -> Guarded:
        """The conversations that a kind of caller may read, each with what it is about."""
        table = Conversation.__table__
        source: Any = table
        columns: list[Any] = list(table.c)
        for subject in self.registry.subjects:
            link = subject.table.alias(f"about_{subject.field}")
            source = source.outerjoin(link, link.c.conversation_id == table.c.id)
            columns.append(link.c[subject.field])
        chosen = select(*columns).select_from(source)
        rows = self.registry.policy.rows(kind)
        seen: Any = (chosen if rows is None else chosen.where(rows)).subquery("conversation")
        return Guarded(seen, self.conversation_fields, OPEN)


def _all_of(model: type[Row]) -> Guarded:
    table: Any = model.__table__
    return Guarded(table, fields_of(model), OPEN)


def _rendered(model: type[Row]) -> Select[Any]:
    table = model.__table__
    rows = select(table).where(table.c.id == bindparam("id", type_=table.c.id.type)).subquery("found")
    return select(as_bytes(record(rows, fields_of(model).values()))).select_from(rows)


def records_of(runtime: Runtime) -> Records:
    found = runtime.parts.get("conversation_records")
    if not isinstance(found, Records):
        found = runtime.parts["conversation_records"] = Records(registry_of(runtime))
    return found
