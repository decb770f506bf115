"""How imports and exports stand in the OpenAPI document."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec

from atrium.core.resources.openapi import Verb, VerbOperation, json_content, name_schemas, reference
from atrium.core.resources.parameters import list_parameters
from atrium.core.resources.resource import Resource
from atrium.core.transfers.formats import separated
from atrium.core.transfers.models import FORMATS

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
UNUSED = ("page", "limit", "cursor", "count", "include")
PREVIEW = {
    "dry_run": True,
    "format": "csv",
    "columns": {
        "recognised": ["last_name", "city"],
        "ignored": ["created_at"],
        "unknown": [{"name": "risk", "suggestions": ["risk_profile"]}],
        "missing": [],
    },
    "rows": {"total": 250, "checked": 250, "would_create": 249, "would_update": 0, "unchanged": 0, "failed": 1},
    "errors": [{"row": 17, "column": "net_worth", "message": "must be a finite number"}],
}


class QueuedImport(msgspec.Struct):
    """The file is stored; the task writes its rows."""

    task_id: UUID
    status: Status
    import_id: UUID
    ignored: list[str]


class QueuedExport(msgspec.Struct):
    """The task writes the file."""

    task_id: UUID
    status: Status
    export_id: UUID


class UnknownColumn(msgspec.Struct):
    name: str
    suggestions: list[str]


class PreviewColumns(msgspec.Struct):
    """`ignored` only stand in exports; what is in `unknown` ones would be lost."""

    recognised: list[str]
    ignored: list[str]
    unknown: list[UnknownColumn]
    missing: list[str]


class PreviewRows(msgspec.Struct):
    total: int
    checked: int
    would_create: int
    would_update: int
    unchanged: int
    failed: int


class RowError(msgspec.Struct):
    row: int
    column: str | None
    message: str


class ImportPreview(msgspec.Struct):
    """What an import would do; nothing was written."""

    dry_run: bool
    format: str
    columns: PreviewColumns
    rows: PreviewRows
    errors: list[RowError]


class ImportRows(msgspec.Struct):
    total: int | None
    done: int
    created: int
    updated: int
    unchanged: int
    failed: int


class Import(msgspec.Struct):
    """An import, how far it is, and the first rows that could not be written."""

    id: UUID
    task_id: UUID | None
    status: Status | None
    resource: str
    format: str
    filename: str
    dry_run: bool
    partial: bool
    key: list[str]
    size_bytes: int
    sha256: str | None
    rows: ImportRows
    errors: list[RowError]
    errors_url: str | None
    created_at: datetime
    expires_at: datetime


class Export(msgspec.Struct):
    """An export, and where its file is once it is finished."""

    id: UUID
    task_id: UUID | None
    status: Status | None
    resource: str
    format: str
    filename: str
    rows: int | None
    size_bytes: int
    sha256: str | None
    download_url: str | None
    created_at: datetime
    expires_at: datetime


name_schemas(QueuedImport, QueuedExport, ImportPreview)


@dataclass
class FileOperation(VerbOperation):
    """A verb that answers with a file."""

    media: ClassVar[tuple[str, ...]] = ("text/csv",)

    def to_schema(self) -> dict[str, Any]:
        described = super().to_schema()
        content = {kind: {"schema": {"type": "string"}} for kind in type(self).media}
        described["responses"]["200"] = {"description": "The file", "content": content}
        return described


class ErrorsFile(FileOperation):
    refused = "401 404"


class ExportedFile(FileOperation):
    refused = "401 403 404 409 410"
    media = ("text/csv", "application/x-ndjson")

    @staticmethod
    def query() -> list[dict[str, Any]]:
        text = "What `download_url` carries; instead of a bearer token"
        return [_query("token", {"type": "string"}, text)]


def _query(name: str, schema: dict[str, Any], text: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": text, **more}


FLAG = {"type": "boolean", "default": False}
FORMAT = _query("format", {"type": "string", "enum": list(FORMATS)}, "By default what the content type says, else csv")
DELIMITER = _query(
    "delimiter",
    {"type": "string", "enum": list(separated.DELIMITERS)},
    "Of a CSV file; by default told from its first line",
)


def import_parameters(resource: Resource) -> list[dict[str, Any]]:
    found = [
        FORMAT,
        _query("dry_run", FLAG, "Only say what would happen: at once for the first rows, with async for all of them"),
        _query("async", FLAG, "A dry run of the whole file in the background"),
        _query("partial", {**FLAG, "default": True}, "Write the rows that can be written; false: all or none"),
        DELIMITER,
    ]
    if resource.upsert:
        key = ",".join(resource.upsert)
        found.append(_query("key", {"type": "string", "enum": [key]}, "Change the record that has this key already"))
    return found


def export_parameters(resource: Resource) -> list[dict[str, Any]]:
    kept = [one for one in list_parameters(resource) if one["name"].partition(".")[0] not in UNUSED]
    bom = _query("bom", FLAG, "Begin a CSV file with a byte order mark, by which Excel knows UTF-8")
    return [FORMAT, {**DELIMITER, "description": "Of a CSV file; comma by default"}, bom, *kept]


def _upload(resource: Resource) -> dict[str, Any]:
    """The first fields of the example as both formats write them."""
    example = {name: value for name, value in resource.example.items() if not isinstance(value, dict | list)}
    rows = separated.write([list(example), [str(value) for value in example.values()]]).decode()
    binary = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": binary}, "required": ["file"]}
    return {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": rows},
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": msgspec.json.encode(dict(resource.example)).decode() + "\n",
            },
            "multipart/form-data": {"schema": form, "example": {"file": rows}},
        },
    }


def _asked(resource: Resource) -> dict[str, Any]:
    example = {"format": "csv", "order_by": resource.sort}
    return {
        "required": False,
        "content": {"application/json": {"schema": {"type": "object"}, "example": example}},
    }


def _imported(_resource: Resource) -> dict[str, Any]:
    shown = json_content("What would happen (dry_run)", reference(ImportPreview.__name__))
    shown["content"]["application/json"]["example"] = PREVIEW
    return {"200": shown, "202": json_content("Stored; the task writes the rows", reference(QueuedImport.__name__))}


def _exported(resource: Resource) -> dict[str, Any]:
    names = [name for name in ("id", *resource.example) if name in resource.fields][:4]
    content = {
        "text/csv": {"schema": {"type": "string"}, "example": ",".join(names) + "\r\n"},
        "application/x-ndjson": {"schema": {"type": "string"}},
    }
    return {
        "200": {"description": "All rows, streamed; a broken connection means an incomplete file", "content": content}
    }


def _queued(_resource: Resource) -> dict[str, Any]:
    return {"202": json_content("The task writes the file", reference(QueuedExport.__name__))}


IMPORT = Verb(
    "import",
    "Import {many}",
    _imported,
    "400 401 403 404 413 415 422 429",
    on_record=False,
    many=True,
    parameters=import_parameters,
    body=_upload,
)
EXPORT = Verb(
    "export",
    "Export {many}",
    _exported,
    "401 403 404 422 429",
    on_record=False,
    many=True,
    parameters=export_parameters,
)
QUEUE_EXPORT = Verb(
    "queue Export",
    "Export {many} in the background",
    _queued,
    "400 401 403 404 422 429",
    on_record=False,
    many=True,
    parameters=export_parameters,
    body=_asked,
)
