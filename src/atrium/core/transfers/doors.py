"""Import and export beside the other doors of every resource."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from atrium.core import clock
from atrium.core.access import Principal
from atrium.core.errors import FieldError, Forbidden, Invalid, NotFound, UnknownParameter
from atrium.core.http import bodies
from atrium.core.http.requests import caller_of, json, require_json, runtime_of
from atrium.core.jobs.models import BackgroundTask
from atrium.core.query.vocabulary import choose
from atrium.core.resources import second_look
from atrium.core.resources.doors.path import AnyRequest, Path, query_of, within_of
from atrium.core.resources.resource import Resource
from atrium.core.transfers import exports, openapi, queueing
from atrium.core.transfers.imports import Options
from atrium.core.transfers.models import CSV, EXPORT, FORMATS, IMPORT
from atrium.core.transfers.previews import preview
from atrium.core.transfers.rows import Rows, writable
from atrium.core.transfers.uploads import Upload

PARAMETERS = ("format", "key", "dry_run", "partial", "async", "delimiter")


def handlers(resource: Resource) -> list[HTTPRouteHandler]:
    found = []
    for route in (resource.path, *resource.also):
        path = Path(resource, route, route == resource.path)
        if resource.imports and resource.create is not None:
            found.append(_import_door(path))
        if resource.exports:
            found += _export_doors(path)
    return found


def _import_door(path: Path) -> HTTPRouteHandler:
    resource = path.resource

    async def import_records(request: AnyRequest) -> Response[bytes]:
        asked = Asked(query_of(request), resource, within_of(request))
        runtime, caller = runtime_of(request), caller_of(request)
        require_import(resource, caller.principal, by_key=bool(asked.options.key))
        await second_look.require_parents(resource, runtime, caller.principal, asked.options.within)
        upload = Upload(request, limit=runtime.settings.max_import_bytes, file_format=asked.format)
        pieces = aiter(upload)
        first = await anext(pieces, b"")  # the format of a form's file stands in it
        whole = _again(first, pieces)
        if asked.options.dry_run and not asked.in_background:
            return json(await preview(runtime, caller, resource, asked.options, upload.format or CSV, whole))
        transfer_id = await queueing.begin(
            runtime, caller, resource, IMPORT, upload.format or CSV, upload.filename, asked.options
        )
        head = Head(resource, caller.principal, asked.options, upload.format or CSV)
        size, digest = await queueing.store(runtime, transfer_id, head.seen(whole))
        known = {"size_bytes": size, "sha256": digest, "completed_at": clock.now()}
        task = await queueing.queue(runtime, caller, queueing.IMPORT_JOB, transfer_id, **known)
        return _accepted(task, import_id=transfer_id, ignored=head.ignored)

    return path.door(post, openapi.IMPORT, import_records, 202, "/import", request_max_body_size=None)


def _export_doors(path: Path) -> list[HTTPRouteHandler]:
    resource = path.resource

    async def export_records(request: AnyRequest) -> Stream:
        runtime, caller = runtime_of(request), caller_of(request)
        plan = exports.Plan.make(
            resource, caller.principal, exports.read_options(query_of(request), within_of(request))
        )
        await second_look.require_parents(resource, runtime, caller.principal, plan.options.within)
        pieces = exports.stream(runtime, caller, plan)
        first = await anext(pieces, b"")  # what is wrong before the first row is an answer of its own
        name = f"{resource.name}-{clock.today()}.{plan.options.format}"
        return Stream(_again(first, pieces), headers=exports.headers_of(plan.options.format, name))

    async def queue_export(request: AnyRequest) -> Response[bytes]:
        runtime, caller, within = runtime_of(request), caller_of(request), within_of(request)
        options = exports.read_options(await _asked_in(request), within)
        exports.Plan.make(resource, caller.principal, options)
        await second_look.require_parents(resource, runtime, caller.principal, within)
        name = f"{resource.name}-{clock.today()}.{options.format}"
        transfer_id = await queueing.begin(runtime, caller, resource, EXPORT, options.format, name, options)
        task = await queueing.queue(runtime, caller, queueing.EXPORT_JOB, transfer_id)
        return _accepted(task, export_id=transfer_id)

    return [
        path.door(get, openapi.EXPORT, export_records, 200, "/export"),
        path.door(post, openapi.QUEUE_EXPORT, queue_export, 202, "/export"),
    ]


def _accepted(task: BackgroundTask, **more: Any) -> Response[bytes]:
    body = {"task_id": task.id, "status": task.status, **more}
    return json(body, status=202, headers={"Location": f"/api/v1/background-tasks/{task.id}"})


async def _again(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces with the one that was already taken."""
    try:
        if first:
            yield first
        async for piece in pieces:
            yield piece
    finally:
        await pieces.aclose()  # type: ignore[attr-defined]


class Asked:
    """The parameters of an import."""

    def __init__(self, query_string: str, resource: Resource, within: Mapping[str, UUID]) -> None:
        given = dict(parse_qsl(query_string, keep_blank_values=True))
        for name in given:
            if name not in PARAMETERS:
                raise UnknownParameter(f"{name} is not a parameter of an import.", allowed=list(PARAMETERS))

        def flag(name: str, default: str) -> bool:
            return bool(choose(name, given.get(name, default), exports.YES))

        named = {name: name for name in FORMATS}
        self.format: str | None = choose("format", given["format"], named) if "format" in given else None
        self.in_background = flag("async", "false")
        self.options = Options(
            within=dict(within),
            key=_key(resource, given.get("key", "")),
            partial=flag("partial", "true"),
            dry_run=flag("dry_run", "false"),
            delimiter=exports.read_delimiter(given.get("delimiter")),
        )


def _key(resource: Resource, text: str) -> tuple[str, ...]:
    names = {name.strip() for name in text.split(",") if name.strip()}
    if not names:
        return ()
    if names != set(resource.upsert):
        allowed = [",".join(resource.upsert)] if resource.upsert else []
        errors = [FieldError(("query", "key"), "is not what these records are found by")]
        raise Invalid("key: is not what these records are found by.", errors=errors, allowed=allowed)
    return resource.upsert


def require_import(resource: Resource, principal: Principal, *, by_key: bool) -> None:
    """What making one record needs, and changing one where the key finds it."""
    principal.require(resource.create or "")
    if by_key:
        principal.require(resource.update or "")
    kind = resource.policy.kind(principal)
    if kind == 0:
        raise NotFound
    if not resource.policy.writes(kind):
        raise Forbidden(f"You may not make a {resource.noun()}.")


class Head:
    """Looks at the columns while the file is stored, so that a file that cannot be meant is refused at once."""

    def __init__(self, resource: Resource, principal: Principal, options: Options, file_format: str) -> None:
        self._key = options.key
        self._writable = writable(resource, principal, tuple(options.within), by_key=bool(options.key))
        self._rows = Rows(file_format, self._writable, options.delimiter)
        self._is_table = file_format == CSV

    @property
    def ignored(self) -> list[str]:
        return self._rows.columns.ignored if self._rows.columns else []

    async def seen(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in pieces:
            if self._is_table and self._rows.columns is None:
                self._look(piece)
            yield piece
        if self._is_table and self._rows.columns is None:
            self._look(b"", last=True)

    def _look(self, piece: bytes, *, last: bool = False) -> None:
        for _ in self._rows.feed(piece, last=last):
            break
        columns = self._rows.columns
        if columns is None:
            return
        columns.require(self._writable.kinds)
        missing = [name for name in self._key if name not in columns.names] if self._key else columns.missing
        if missing:
            errors = [FieldError(("body", name), "is required", "missing") for name in missing]
            raise Invalid(f"{', '.join(missing)}: there is no such column.", errors=errors)


async def _asked_in(request: AnyRequest) -> str:
    """The query string, and the members of a JSON body as more of it; a list is a repeated parameter."""
    query = query_of(request)
    raw = await request.body()
    if not raw:
        return query
    require_json(request)
    given = bodies.decode(raw, dict[str, msgspec.Raw])
    more = urlencode([(name, text) for name, value in given.items() for text in _texts(bytes(value))])
    return "&".join(part for part in (query, more) if part)


def _texts(value: bytes) -> list[str]:
    """A member as query parameters say it; numbers keep their digits."""
    if value.startswith(b"["):
        return [text for one in msgspec.json.decode(value, type=list[msgspec.Raw]) for text in _texts(bytes(one))]
    if value.startswith(b"{"):
        raise Invalid("A parameter of an export is a text, a number, true, false or a list of these.")
    if value == b"null":
        return []
    return [msgspec.json.decode(value) if value.startswith(b'"') else value.decode()]
