"""A resource written: create, change and remove, each one statement that is its own transaction."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from atrium.core import clock
from atrium.core.access import Principal
from atrium.core.db.columns import Mark
from atrium.core.errors import Forbidden
from atrium.core.resources import second_look
from atrium.core.resources.reading import Reading, Record
from atrium.core.runtime import Runtime
from atrium.core.services import Caller
from atrium.core.statements import writes
from atrium.core.statements.compiled import run
from atrium.core.statements.table import WITHIN, parents_of


class Writing(Reading):
    async def make(self, runtime: Runtime, caller: Caller, raw: bytes, within: Mapping[str, UUID]) -> Record:
        principal = caller.principal
        self._require(self.create, principal)
        kind = self._writer(principal)
        if not self.policy.writes(kind):
            raise Forbidden(f"You may not make a {self.noun()}.")
        values = self.body("create", kind, tuple(within)).decode(raw)
        asked = self._asked(values, kind)
        values |= within
        values = self._stamp(values, kind, principal)
        if self.on_create is not None:
            values = self.on_create(values, principal, clock.now())
        values = {name: value for name, value in values.items() if name in self.table.c}
        values["id"] = clock.new_id()
        references = self._references(values, principal)
        columns = tuple(sorted(values))
        compiled = self.statements.get(
            ("create", kind, columns, _key(references), asked),
            lambda: writes.create(self.guarded, kind, columns, references, asked),
        )
        rows = await run(runtime, compiled, self._binds(values, caller), principal, self.table)
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
        values = self.body("update", kind).decode(raw)
        asked = self._asked(values, kind)
        if self.on_update is not None and values:
            values = self.on_update(values, principal, clock.now())
        if not values:
            await second_look.explain_untouched(self, runtime, caller, row_id, if_match, within, self.update_if)
            return await self.get(runtime, caller, row_id, within)
        references = self._references(values, principal)
        columns, inside = tuple(sorted(values)), tuple(within)
        matching = if_match is not None
        only_if = self.update_if[0] if self.update_if else None
        compiled = self.statements.get(
            ("change", kind, columns, _key(references), matching, inside, asked),
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
        principal = caller.principal
        self._require(self.delete, principal)
        kind, within = self._writer(principal), within or {}
        inside, matching = tuple(within), if_match is not None
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

    def _unchangeable(self) -> str:
        return f"You may read this {self.noun()} but not change it."


def _key(references: Sequence[writes.Reference]) -> tuple[tuple[str, int], ...]:
    return tuple((reference.column, reference.kind) for reference in references)
