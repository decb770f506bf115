"""Many rows of a resource made, changed, removed or put by key: the rules of single writes, a batch per statement."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from atrium.core import clock
from atrium.core.db.columns import Mark
from atrium.core.errors import AtriumError, Duplicate, FieldError, Forbidden, Invalid
from atrium.core.resources import second_look
from atrium.core.resources.batches import Batch, BulkResult, KeyedRow, Row, refusal_of
from atrium.core.resources.reading import Record
from atrium.core.resources.writing import Writing
from atrium.core.runtime import Runtime
from atrium.core.services import CLAIM, Caller, Work, mark_done
from atrium.core.statements.failures import explain
from atrium.core.statements.retries import retried

Raw = bytes | Mapping[str, Any]
"""A row as JSON text, or as values that JSON can say."""


class Bulk(Writing):
    async def make_many(
        self,
        runtime: Runtime,
        caller: Caller,
        rows: Sequence[Raw],
        within: Mapping[str, UUID] | None = None,
        *,
        partial: bool = False,
        key: tuple[str, ...] | None = None,
        rendered: bool = True,
        work: Work | None = None,
    ) -> BulkResult:
        """All rows in one transaction, that of `work` if it is given; unless `partial`, none when one is refused.

        With `key` a row whose key exists is changed instead, and left alone when nothing differs.
        """
        within = within or {}
        kind = self.maker(caller.principal)
        if key:
            self._require(self.update, caller.principal)
        await self._require_parents(runtime, caller, within, work)

        async def act(batch: Batch) -> None:
            if key:
                await batch.put(self._keyed(batch, rows, key), key)
                await batch.render_unchanged()
            else:
                await batch.make(self._new_rows(batch, rows))

        return await self._bulk(runtime, caller, kind, within, act, len(rows), partial, rendered, work)

    async def put(
        self, runtime: Runtime, caller: Caller, raw: bytes, within: Mapping[str, UUID] | None = None
    ) -> tuple[Record, bool]:
        """The record with this key, made or changed, and whether it is new."""
        try:
            result = await self._put_one(runtime, caller, raw, within or {})
        except Duplicate:  # somebody made it since it was looked for; or it is not the caller's, which is final
            result = await self._put_one(runtime, caller, raw, within or {})
        written = [*result.created, *result.updated, *result.unchanged][0]
        return written.record, bool(result.created)

    async def _put_one(self, runtime: Runtime, caller: Caller, raw: bytes, within: Mapping[str, UUID]) -> BulkResult:
        kind = self.maker(caller.principal)
        self._require(self.update, caller.principal)
        await self._require_parents(runtime, caller, within, None)

        async def act(batch: Batch) -> None:
            batch.is_strict = True
            await batch.put(self._keyed(batch, [raw], self.upsert), self.upsert)
            await batch.render_unchanged()

        return await self._bulk(runtime, caller, kind, within, act, 1, False, True, None)

    async def change_many(
        self,
        runtime: Runtime,
        caller: Caller,
        rows: Sequence[Raw],
        within: Mapping[str, UUID] | None = None,
        *,
        partial: bool = False,
        rendered: bool = True,
        work: Work | None = None,
    ) -> BulkResult:
        """Each row names its `id`, and the `version` that it must still have if it matters."""
        self._require(self.update, caller.principal)
        kind, within = self._writer(caller.principal), within or {}
        if not self.policy.writes(kind):
            raise Forbidden(self._unchangeable())
        await self._require_parents(runtime, caller, within, work)

        async def act(batch: Batch) -> None:
            await batch.change(self._changed_rows(batch, rows))

        return await self._bulk(runtime, caller, kind, within, act, len(rows), partial, rendered, work)

    async def remove_many(
        self,
        runtime: Runtime,
        caller: Caller,
        ids: Sequence[str],
        within: Mapping[str, UUID] | None = None,
        *,
        partial: bool = False,
        work: Work | None = None,
    ) -> BulkResult:
        self._require(self.delete, caller.principal)
        kind, within = self._writer(caller.principal), within or {}
        await self._require_parents(runtime, caller, within, work)

        async def act(batch: Batch) -> None:
            await batch.remove(self._removed_rows(batch, ids))

        return await self._bulk(runtime, caller, kind, within, act, len(ids), partial, False, work)

    async def _require_parents(
        self, runtime: Runtime, caller: Caller, within: Mapping[str, UUID], work: Work | None
    ) -> None:
        if within and work is None:
            await second_look.require_parents(self, runtime, caller.principal, within)

    async def _bulk(
        self,
        runtime: Runtime,
        caller: Caller,
        kind: int,
        within: Mapping[str, UUID],
        act: Callable[[Batch], Awaitable[None]],
        asked: int,
        partial: bool,
        rendered: bool,
        work: Work | None,
    ) -> BulkResult:
        async def on(connection: Any) -> BulkResult:
            batch = Batch(self, runtime, connection, caller, kind, within, rendered=rendered)
            await act(batch)
            batch.result.sort()
            if batch.result.errors and not partial:
                raise refusal_of(batch.result.errors, asked)
            return batch.result

        async def alone() -> BulkResult:
            async with runtime.database.pool.acquire() as connection, connection.transaction():
                result = await on(connection)
                if CLAIM.get() is not None:
                    await mark_done(connection)
                return result

        if work is not None:
            return await on(await work.connection())
        try:
            return await retried(alone)
        except AtriumError:
            raise
        except Exception as error:
            raise explain(error, (self.table,)) or error from error

    def _new_rows(self, batch: Batch, rows: Sequence[Raw]) -> list[Row]:
        found = []
        for index, given in enumerate(rows):
            try:
                values, asked = self._drafted(_raw(given), batch.kind, batch.caller.principal, batch.within)
            except AtriumError as error:
                batch.refuse(index, error)
            else:
                found.append(Row(index, values["id"], values, asked))
        return found

    def _changed_rows(self, batch: Batch, rows: Sequence[Raw]) -> list[Row]:
        found: dict[UUID, Row] = {}
        for index, given in enumerate(rows):
            try:
                row_id, version, raw = _target(_raw(given))
                if row_id in found:
                    raise Invalid.at("id", "is named twice")
                values, asked = self._amended(raw, batch.kind, batch.caller.principal)
            except AtriumError as error:
                batch.refuse(index, error)
            else:
                found[row_id] = Row(index, row_id, values, asked, version)
        return list(found.values())

    def _removed_rows(self, batch: Batch, ids: Sequence[str]) -> list[Row]:
        found: dict[UUID, Row] = {}
        for index, text in enumerate(ids):
            try:
                row_id = UUID(text)
            except ValueError:
                batch.refuse(index, Invalid("Not an id.", errors=[FieldError(("body",), "must be an id")]))
                continue
            if row_id not in found:
                found[row_id] = Row(index, row_id, {})
        return list(found.values())

    def _keyed(self, batch: Batch, rows: Sequence[Raw], key: tuple[str, ...]) -> list[KeyedRow]:
        found = []
        for index, given in enumerate(rows):
            try:
                found.append(self._keyed_row(batch, index, _raw(given), key))
            except AtriumError as error:
                batch.refuse(index, error)
        return found

    def _keyed_row(self, batch: Batch, index: int, raw: bytes, key: tuple[str, ...]) -> KeyedRow:
        principal, kind = batch.caller.principal, batch.kind
        sent = self.body("upsert", kind, tuple(batch.within)).decode(raw)
        self._require_key(sent, key)
        new, asked = self._completed(sent, kind, principal, batch.within)
        open_fields = self.body("update", kind).fields
        changed = {name: value for name, value in sent.items() if name in open_fields and name not in key}
        asked_changes = self._asked(changed, kind)
        if self.on_update is not None and changed:
            changed = self.on_update(changed, principal, clock.now())
        fixed = {
            name: value
            for name, value in sent.items()
            if name not in open_fields and name not in key and name in self.fields
        }
        return KeyedRow(
            index,
            Row(index, new["id"], new, asked),
            Row(index, new["id"], changed, asked_changes),
            fixed,
            self._unmakeable(sent, kind, batch.within, key),
        )

    def _require_key(self, sent: Mapping[str, Any], key: tuple[str, ...]) -> None:
        """What the server numbers may be left out: such a row is new."""
        for name in key:
            if sent.get(name) is None and self.fields[name].mark is not Mark.SYSTEM:
                raise Invalid.at(name, "is what the record is found by", "missing")

    def _unmakeable(
        self, sent: Mapping[str, Any], kind: int, within: Mapping[str, UUID], key: tuple[str, ...]
    ) -> AtriumError | None:
        for name in key:
            if sent.get(name) is not None and self.fields[name].mark is Mark.SYSTEM:
                return Invalid.at(name, "not found", "not_found")
        required = self.body("create", kind, tuple(within)).required
        absent = [FieldError(("body", name), "is required", "missing") for name in required if name not in sent]
        return Invalid(f"{absent[0].loc[-1]}: is required.", errors=absent) if absent else None


class _Target(msgspec.Struct):
    id: UUID
    version: int | None = None


def _target(raw: bytes) -> tuple[UUID, int | None, bytes]:
    """The id and version that a row of a bulk update names, and the row without them."""
    try:
        given = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        raise Invalid("A row must be a JSON object.", errors=[FieldError(("body",), "must be an object")]) from None
    row_id, version = _member(given.pop("id", None), UUID, "id"), given.pop("version", None)
    return row_id, _member(version, int, "version") if version is not None else None, msgspec.json.encode(given)


def _member(given: msgspec.Raw | None, kind: Any, name: str) -> Any:
    if given is None:
        raise Invalid.at(name, "is required", "missing")
    try:
        return msgspec.json.decode(given, type=kind)
    except msgspec.MsgspecError:
        raise Invalid.at(name, "must be an id" if kind is UUID else "must be a whole number") from None


def _raw(given: Raw) -> bytes:
    return given if isinstance(given, bytes) else msgspec.json.encode(given)
