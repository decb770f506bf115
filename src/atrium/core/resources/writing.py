"""A resource written: create, change and remove, each one statement that is its own transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from atrium.core import clock
from atrium.core.access import Principal
from atrium.core.db.columns import Mark
from atrium.core.errors import Forbidden, PreconditionFailed
from atrium.core.resources import second_look
from atrium.core.resources.reading import Reading, Record
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, Work
from atrium.core.statements import writes
from atrium.core.statements.compiled import inside, run
from atrium.core.statements.table import WITHIN, parents_of


@dataclass(frozen=True, slots=True)
class Keep:
    """How a create keeps its answer: a part of its statement, and the parameters of that part."""

    part: writes.Keeping
    binds: Mapping[str, Any]


class Writing(Reading):
    async def make(
        self,
        runtime: Runtime,
        caller: Caller,
        raw: bytes,
        within: Mapping[str, UUID],
        keeping: Keep | None = None,
    ) -> Record:
        """A new record; `keeping` keeps the answer in the same statement."""
        kind = self.maker(caller.principal)
        values, asked = self._drafted(raw, kind, caller.principal, within)
        return await self.insert(runtime, caller, kind, values, asked, within, keeping)

    def maker(self, principal: Principal) -> int:
        self._require(self.create, principal)
        kind = self._writer(principal)
        if not self.policy.writes(kind):
            raise Forbidden(f"You may not make a {self.noun()}.")
        return kind

    async def insert(
        self,
        runtime: Runtime,
        caller: Caller,
        kind: int,
        values: Mapping[str, Any],
        asked: tuple[str, ...],
        within: Mapping[str, UUID],
        keeping: Keep | None = None,
    ) -> Record:
        principal = caller.principal
        references = self._references(values, principal)
        columns = tuple(sorted(values))
        compiled = self.statements.get(
            ("create", kind, columns, key_of(references), asked, keeping is None),
            lambda: writes.create(
                self.guarded, kind, columns, references, asked, keeping=keeping.part if keeping else None
            ),
        )
        binds = self._binds(values, caller)
        if keeping is not None:
            binds |= keeping.binds
        rows = await run(runtime, compiled, binds, principal, self.table)
        if not rows:
            await second_look.explain_missing_parents(runtime, principal, references, values, within)
            raise Forbidden("You may not make this record.")
        return Record(rows[0][0], rows[0][1], rows[0][2])

    async def change(
        self,
        runtime: Runtime,
        caller: Caller,
        row_id: UUID,
        raw: bytes,
        *,
        if_match: int | None = None,
        within: Mapping[str, UUID] | None = None,
    ) -> Record:
        principal = caller.principal
        self._require(self.update, principal)
        kind, within = self._writer(principal), within or {}
        if not self.policy.writes(kind):
            await self.get(runtime, caller, row_id, within)
            raise Forbidden(self._unchangeable())
        values, asked = self._amended(raw, kind, principal)
        if not values:
            return await self.look(runtime, caller, row_id, if_match, within)
        return await self.update_row(runtime, caller, kind, row_id, values, asked, if_match, within)

    async def look(
        self, runtime: Runtime, caller: Caller, row_id: UUID, if_match: int | None, within: Mapping[str, UUID]
    ) -> Record:
        """What a change of nothing answers: the record, if it could be changed."""
        await second_look.explain_untouched(self, runtime, caller, row_id, if_match, within, self.update_if)
        return await self.get(runtime, caller, row_id, within)

    async def update_row(
        self,
        runtime: Runtime,
        caller: Caller,
        kind: int,
        row_id: UUID,
        values: Mapping[str, Any],
        asked: tuple[str, ...],
        if_match: int | None,
        within: Mapping[str, UUID],
    ) -> Record:
        principal = caller.principal
        references = self._references(values, principal)
        columns, inside = tuple(sorted(values)), tuple(within)
        matching = if_match is not None
        only_if = self.update_if[0] if self.update_if else None
        compiled = self.statements.get(
            ("change", kind, columns, key_of(references), matching, inside, asked),
            lambda: writes.change(
                self.guarded, kind, columns, references, asked, matching=matching, within=inside, only_if=only_if
            ),
        )
        binds = self._binds(values, caller) | {"id": row_id, "if_match": if_match}
        binds |= {WITHIN + name: value for name, value in within.items()}
        rows = await run(runtime, compiled, binds, principal, self.table)
        if not rows:
            await second_look.explain_untouched(self, runtime, caller, row_id, if_match, within, self.update_if)
            await second_look.explain_missing_parents(runtime, principal, references, values, {})
            raise Forbidden(self._unchangeable())
        return Record(rows[0][0], rows[0][1], rows[0][2])

    async def remove(
        self,
        runtime: Runtime,
        caller: Caller,
        row_id: UUID,
        *,
        if_match: int | None = None,
        within: Mapping[str, UUID] | None = None,
    ) -> None:
        self._require(self.delete, caller.principal)
        await self.delete_row(runtime, caller, self._writer(caller.principal), row_id, if_match, within or {})

    async def delete_row(
        self,
        runtime: Runtime,
        caller: Caller,
        kind: int,
        row_id: UUID,
        if_match: int | None,
        within: Mapping[str, UUID],
    ) -> None:
        principal, inside, matching = caller.principal, tuple(within), if_match is not None
        only_if = self.delete_if[0] if self.delete_if else None
        compiled = self.statements.get(
            ("remove", kind, matching, inside),
            lambda: writes.remove(self.guarded, kind, matching=matching, within=inside, only_if=only_if),
        )
        binds = {"id": row_id, "if_match": if_match, "actor": caller.actor()}
        binds |= {WITHIN + name: value for name, value in within.items()}
        if not await run(runtime, compiled, binds, principal, self.table):
            await second_look.explain_untouched(self, runtime, caller, row_id, if_match, within, self.delete_if)
            raise Forbidden(f"You may read this {self.noun()} but not delete it.")

    def _drafted(
        self, raw: bytes, kind: int, principal: Principal, within: Mapping[str, UUID]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """A new row as it is stored, and the fields of it that the caller chose."""
        return self._completed(self.body("create", kind, tuple(within)).decode(raw), kind, principal, within)

    def _completed(
        self, sent: dict[str, Any], kind: int, principal: Principal, within: Mapping[str, UUID]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        asked = self._asked(sent, kind)
        values = {**sent, **within}
        values = self._stamp(values, kind, principal)
        if self.on_create is not None:
            values = self.on_create(values, principal, clock.now())
        values = {name: value for name, value in values.items() if name in self.table.c}
        values["id"] = clock.new_id()
        return values, asked

    def _amended(self, raw: bytes, kind: int, principal: Principal) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What a change stores, and the fields of it that the caller chose."""
        values = self.body("update", kind).decode(raw)
        asked = self._asked(values, kind)
        if self.on_update is not None and values:
            values = self.on_update(values, principal, clock.now())
        return values, asked

    async def require_version(self, work: Work, row_id: UUID, version: int, if_match: int | None) -> None:
        """412 for a verb whose caller has seen another version of the record, which the work has locked."""
        if if_match is not None and version != if_match:
            here = inside(work.runtime, await work.connection())
            changed = await second_look.changed_since(self, here, work.principal, row_id, if_match)
            raise PreconditionFailed(changed=changed)

    def _asked(self, values: Mapping[str, Any], kind: int) -> tuple[str, ...]:
        """The fields of the table that the caller sends, where not every row it writes has them all open."""
        return tuple(sorted(name for name in values if name in self.fields)) if self.policy.is_mixed(kind) else ()

    def _stamp(self, values: dict[str, Any], kind: int, principal: Principal) -> dict[str, Any]:
        """What the policy sets from the caller; naming somebody else is refused rather than corrected."""
        for column, claim in self.policy.stamps(kind).items():
            own = principal.id_of(claim)
            if values.get(column) not in (None, own):
                stem = column.removesuffix("_id")
                raise Forbidden(f"{column} must be your own.", code=f"{stem.upper()}_MISMATCH")
            values[column] = own
        return values

    def _binds(self, values: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        fields = self.fields
        bound = {name: fields[name].bind(value) if name in fields else value for name, value in values.items()}
        return {**bound, "actor": caller.actor()}

    def _references(self, values: Mapping[str, Any], principal: Principal) -> tuple[writes.Reference, ...]:
        """The parents that this write names; keys that the server sets or that are null name none."""
        found = []
        for name in sorted(values):
            known = self.fields.get(name)
            if known is None or values[name] is None or known.mark is Mark.SYSTEM:
                continue
            found += [writes.Reference(name, *parent) for parent in parents_of(known.column, principal)]
        return tuple(found)

    def parents_named(self, columns: Sequence[str], principal: Principal) -> tuple[writes.Reference, ...]:
        """The parents that rows with these columns may name."""
        return self._references(dict.fromkeys(columns, True), principal)

    def _unchangeable(self) -> str:
        return f"You may read this {self.noun()} but not change it."


def key_of(references: Sequence[writes.Reference]) -> tuple[tuple[str, int], ...]:
    return tuple((reference.column, reference.kind) for reference in references)
