"""A trial import, answered at once: what the columns mean, and what would become of the first rows."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime
from atrium.core.services import Caller
from atrium.core.transfers.formats.columns import Columns, Writable
from atrium.core.transfers.imports import Options, Outcome, attempt_all
from atrium.core.transfers.models import NDJSON
from atrium.core.transfers.rows import Given, Rows, ended, writable

CHECKED_ROWS = 2000
CHECKED_BYTES = 8_388_608
AT_ONCE = 200
"""Rows between two chances for the other requests of the process."""
SHOWN_ERRORS = 100


async def preview(
    runtime: Runtime,
    caller: Caller,
    resource: Resource,
    options: Options,
    file_format: str,
    pieces: AsyncIterator[bytes],
) -> dict[str, Any]:
    """The whole file is read before a transaction begins, so that a slow sender holds no locks."""
    allowed = writable(resource, caller.principal, tuple(options.within), by_key=bool(options.key))
    rows = Rows(file_format, allowed, options.delimiter)
    checked: list[Given] = []
    total = size = 0
    async for piece in ended(pieces):
        for given in rows.feed(piece or b"", last=piece is None):
            total += 1
            if len(checked) < CHECKED_ROWS and size < CHECKED_BYTES:
                checked.append(given)
                size += len(given.body)
    outcome = await attempt_all(runtime, lambda: caller, resource, options, _batches(checked))
    columns = _named(checked, allowed) if file_format == NDJSON else rows.columns
    return answer(file_format, columns, total, len(checked), outcome)


async def _batches(checked: list[Given]) -> AsyncIterator[list[Given]]:
    for start in range(0, len(checked), AT_ONCE):
        yield checked[start : start + AT_ONCE]


def _named(checked: list[Given], allowed: Writable) -> Columns:
    """The names in the lines of NDJSON, in the order of their first use."""
    names: dict[str, None] = {}
    for given in checked:
        try:
            names |= dict.fromkeys(msgspec.json.decode(given.body, type=dict[str, msgspec.Raw]))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
    found = Columns(tuple(names), recognised=[name for name in names if name in allowed.kinds])
    found.unknown = {name: allowed.suggestions(name) for name in names if name not in allowed.kinds}
    return found


def answer(file_format: str, columns: Columns | None, total: int, checked: int, outcome: Outcome) -> dict[str, Any]:
    found = columns or Columns(())
    return {
        "dry_run": True,
        "format": file_format,
        "columns": {
            "recognised": found.recognised,
            "ignored": found.ignored,
            "unknown": [{"name": name, "suggestions": meant} for name, meant in found.unknown.items()],
            "missing": found.missing,
        },
        "rows": {
            "total": total,
            "checked": checked,
            "would_create": outcome.created,
            "would_update": outcome.updated,
            "unchanged": outcome.unchanged,
            "failed": outcome.failed,
        },
        "errors": [fault._asdict() for fault in outcome.faults[:SHOWN_ERRORS]],
    }
