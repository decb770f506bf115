"""Records that were deleted and kept: listed with `deleted=true`, and restored."""

import copy
from collections.abc import Mapping
from functools import cached_property
from typing import Self
from uuid import UUID

from atrium.core.errors import Conflict, FieldError, Invalid, NotFound
from atrium.core.resources.bulk import Bulk
from atrium.core.resources.lists import Lists
from atrium.core.resources.reading import Page, Record
from atrium.core.runtime import Runtime
from atrium.core.services import Caller
from atrium.core.statements import restores
from atrium.core.statements.compiled import Cache, run
from atrium.core.statements.table import WITHIN

FLAGS = {"true": True, "1": True, "false": False, "0": False}


class NotDeleted(Conflict):
    """It Is Not Deleted"""


class Restoring(Bulk):
    async def page(self, runtime: Runtime, caller: Caller, query_string: str, within: Mapping[str, UUID]) -> Page:
        if not self.restores or "deleted=" not in query_string:
            return await super().page(runtime, caller, query_string, within)
        parts = query_string.split("&")
        asked = [part.removeprefix("deleted=") for part in parts if part.startswith("deleted=")]
        kept = "&".join(part for part in parts if not part.startswith("deleted="))
        if any(text.lower() not in FLAGS for text in asked):
            wrong = FieldError(("query", "deleted"), "must be true or false")
            raise Invalid("deleted must be true or false.", errors=[wrong])
        if not asked or not FLAGS[asked[-1].lower()]:
            return await super().page(runtime, caller, kept, within)
        self._require(self.restore, caller.principal)
        return await self._deleted.page(runtime, caller, kept, within)

    @cached_property
    def _deleted(self) -> Self:
        """The same resource over the rows that are gone."""
        view = copy.copy(self)
        view.guarded = restores.Deleted(self.table, dict(self.fields), self.policy)
        view.statements = Cache()
        view._lists = Lists(view)  # noqa: SLF001  its own
        view.restores = False
        return view

    async def bring_back(
        self, runtime: Runtime, caller: Caller, row_id: UUID, within: Mapping[str, UUID] | None = None
    ) -> Record:
        """The record as it was; who may not delete it does not see that it was there."""
        principal, within = caller.principal, within or {}
        self._require(self.restore, principal)
        kind, inside = self._writer(principal), tuple(within)
        compiled = self.statements.get(("restore", kind, inside), lambda: restores.restore(self.guarded, kind, inside))
        binds = {"id": row_id, "actor": caller.actor("restore")}
        binds |= {WITHIN + name: value for name, value in within.items()}
        rows = await run(runtime, compiled, binds, principal, self.table)
        if rows:
            return Record(rows[0][0], rows[0][1], rows[0][2])
        if await self.find(runtime, principal, row_id, within) is not None:
            raise NotDeleted(f"This {self.noun()} is not deleted.")
        raise NotFound(f"There is no deleted {self.noun()} with this id, or it is outside what you may see.")
