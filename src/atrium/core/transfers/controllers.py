"""Imports and exports by their ids: how far they are, what went wrong, and the finished file."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get
from litestar.params import FromPath
from litestar.response import Stream

from atrium.core import clock
from atrium.core.errors import NotFound, Unauthenticated
from atrium.core.http.requests import json, principal_of, row_id, runtime_of
from atrium.core.resources.openapi import verb
from atrium.core.runtime import Runtime
from atrium.core.transfers import chunks, exports, links, openapi
from atrium.core.transfers.errors import FileExpired, NotFinished
from atrium.core.transfers.formats import separated
from atrium.core.transfers.formats.cells import guard
from atrium.core.transfers.models import CSV, EXPORT, IMPORT
from atrium.core.transfers.previews import SHOWN_ERRORS

AnyRequest = Request[Any, Any, Any]
FIND = """
SELECT transfer.*, task.status, task.error_detail
FROM core.transfers AS transfer LEFT JOIN core.background_tasks AS task ON task.id = transfer.task_id
WHERE transfer.id = $1 AND transfer.kind = $2
"""
ERRORS = """
SELECT row_number, column_name, message FROM core.transfer_errors
WHERE transfer_id = $1 AND (row_number, id) > ($2, $3) ORDER BY row_number, id LIMIT $4
"""
ERRORS_READ = """
SELECT id, row_number, column_name, message FROM core.transfer_errors
WHERE transfer_id = $1 AND (row_number, id) > ($2, $3) ORDER BY row_number, id LIMIT 1000
"""
FIRST = (0, UUID(int=0))


class ImportController(Controller):
    path = "/api/v1/imports"
    tags = ("background-tasks",)

    @get(
        "/{import_id:str}",
        operation_id="getImport",
        operation_class=verb(openapi.Import),
        summary="Read an import",
        description="How far it is, and the first rows that could not be written.",
    )
    async def get_import(self, request: AnyRequest, import_id: FromPath[str]) -> Response[bytes]:
        runtime = runtime_of(request)
        row = await _own(request, row_id(import_id), IMPORT)
        faults = await runtime.database.pool.fetch(ERRORS, row["id"], *FIRST, SHOWN_ERRORS)
        return json(_import(row, faults))

    @get(
        "/{import_id:str}/errors.csv",
        operation_id="getImportErrors",
        operation_class=openapi.ErrorsFile,
        summary="The rows of an import that could not be written",
        description="A CSV file with row, column and message; rows are counted from 1 behind the first line.",
    )
    async def get_errors(self, request: AnyRequest, import_id: FromPath[str]) -> Stream:
        row = await _own(request, row_id(import_id), IMPORT)
        headers = exports.headers_of(CSV, f"import-{row['id']}-errors.csv")
        return Stream(_errors(runtime_of(request), row["id"]), headers=headers)


class ExportController(Controller):
    path = "/api/v1/exports"
    tags = ("background-tasks",)

    @get(
        "/{export_id:str}",
        operation_id="getExport",
        operation_class=verb(openapi.Export),
        summary="Read an export",
        description="How far it is; once it is finished, with a new link to its file that works for an hour.",
    )
    async def get_export(self, request: AnyRequest, export_id: FromPath[str]) -> Response[bytes]:
        return json(_export(runtime_of(request), await _own(request, row_id(export_id), EXPORT)))

    @get(
        "/{export_id:str}/download",
        public=True,
        operation_id="downloadExport",
        operation_class=openapi.ExportedFile,
        security=[{}, {"bearer": []}],
        summary="Fetch the file of an export",
        description="With the bearer token of who asked for it, or with the token of a link.",
    )
    async def download(self, request: AnyRequest, export_id: FromPath[str]) -> Stream:
        runtime, found = runtime_of(request), row_id(export_id)
        token = request.query_params.get("token")
        if token is not None:
            links.verify(runtime.settings.secret_key, found, token, clock.now())
            row = await _find(runtime, found, EXPORT)
        else:
            row = await _own(request, found, EXPORT)
        if row["expires_at"] <= clock.now():
            raise FileExpired
        if row["completed_at"] is None:
            raise NotFinished("The export is not finished. Its task says how far it is.")
        headers = exports.headers_of(row["format"], row["filename"])
        return Stream(chunks.read(runtime, row["id"]), headers={**headers, "Content-Length": str(row["size_bytes"])})


async def _find(runtime: Runtime, transfer_id: UUID, kind: str) -> Any:
    row = await runtime.database.pool.fetchrow(FIND, transfer_id, kind)
    if row is None:
        raise NotFound(f"There is no {kind} with this id, or it is not yours to see.")
    return row


async def _own(request: AnyRequest, transfer_id: UUID, kind: str) -> Any:
    """What is somebody else's is not there, whatever role asks."""
    principal = principal_of(request)
    if principal is None:
        raise Unauthenticated
    row = await _find(runtime_of(request), transfer_id, kind)
    if row["requested_by"] != principal.user_id:
        raise NotFound(f"There is no {kind} with this id, or it is not yours to see.")
    return row


async def _errors(runtime: Runtime, transfer_id: UUID) -> AsyncIterator[bytes]:
    yield separated.write([("row", "column", "message")])
    after = FIRST
    while rows := await runtime.database.pool.fetch(ERRORS_READ, transfer_id, *after):
        yield separated.write(
            [(str(row["row_number"]), guard(row["column_name"] or ""), guard(row["message"])) for row in rows]
        )
        after = (rows[-1]["row_number"], rows[-1]["id"])


def _import(row: Any, faults: list[Any]) -> openapi.Import:
    options = msgspec.json.decode(row["options"])
    rows = openapi.ImportRows(
        row["total_rows"], row["done_rows"], row["created"], row["updated"], row["unchanged"], row["failed"]
    )
    return openapi.Import(
        **_common(row),
        dry_run=options["dry_run"],
        partial=options["partial"],
        key=options["key"],
        rows=rows,
        errors=[openapi.RowError(*fault) for fault in faults],
        errors_url=f"/api/v1/imports/{row['id']}/errors.csv" if row["failed"] else None,
    )


def _export(runtime: Runtime, row: Any) -> openapi.Export:
    is_there = row["completed_at"] is not None and row["expires_at"] > clock.now()
    url = exports.download_url(runtime, row["id"], row["expires_at"]) if is_there else None
    return openapi.Export(**_common(row), rows=row["total_rows"], download_url=url)


def _common(row: Any) -> dict[str, Any]:
    plain = ("id", "task_id", "status", "resource", "format", "filename", "size_bytes")
    digest: bytes | None = row["sha256"]
    moments: dict[str, datetime] = {name: row[name] for name in ("created_at", "expires_at")}
    return {**{name: row[name] for name in plain}, **moments, "sha256": digest.hex() if digest else None}
