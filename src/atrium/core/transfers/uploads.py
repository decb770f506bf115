"""The file in a request, while it comes: the body itself, or the one file of a form."""

import re
from collections.abc import AsyncIterator
from typing import Any

from litestar import Request
from litestar.exceptions import InternalServerException
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
)

from atrium.core.errors import Invalid, Malformed, PayloadTooLarge, UnsupportedMediaType
from atrium.core.transfers.models import CSV, NDJSON

AnyRequest = Request[Any, Any, Any]
FORM = "multipart/form-data"
FORMAT_OF = {
    "text/csv": CSV,
    "application/csv": CSV,
    "application/vnd.ms-excel": CSV,
    "text/tab-separated-values": CSV,
    "application/x-ndjson": NDJSON,
    "application/ndjson": NDJSON,
    "application/jsonl": NDJSON,
}
"""Browsers on Windows call a CSV file what opens it there."""
ENDINGS = {".csv": CSV, ".tsv": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON}
BOUNDARY = re.compile(r"boundary=(?:\"([^\"]{1,70})\"|([^;\s]{1,70}))", re.IGNORECASE)
LONGEST_NAME = 200


class Upload:
    """`async for piece in upload`; the format and name are known from the first piece on."""

    def __init__(self, request: AnyRequest, *, limit: int, file_format: str | None) -> None:
        self._request, self._limit = request, limit
        self.filename = ""
        given = request.headers.get("content-type", "")
        self._kind = given.partition(";")[0].strip().lower()
        self.format = file_format or FORMAT_OF.get(self._kind)
        boundary = BOUNDARY.search(given)
        self._boundary = (boundary[1] or boundary[2]) if boundary else ""
        self._check(request.headers.get("content-length"))

    def _check(self, length: str | None) -> None:
        if length and length.isdigit() and int(length) > self._limit:
            raise self._too_large()
        if self._kind == FORM:
            if not self._boundary:
                raise Malformed("The form does not name its boundary.")
        elif self.format is None or (self._kind and self._kind not in FORMAT_OF and "json" in self._kind):
            raise UnsupportedMediaType(f"An import is text/csv, application/x-ndjson or {FORM}.")

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"An import may have {self._limit} bytes. Send it in parts.")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = self._file_of_form() if self._kind == FORM else self._body()
        async for piece in pieces:
            yield piece

    async def _body(self) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for piece in self._request.stream():
                size += len(piece)
                if size > self._limit:
                    raise self._too_large()
                if piece:
                    yield piece
        except InternalServerException:  # Litestar's word for a client that is gone
            raise Malformed("The upload broke off.") from None

    async def _file_of_form(self) -> AsyncIterator[bytes]:
        seen = False
        try:
            with PushMultipartParser(self._boundary, max_segment_count=10) as parser:
                async for piece in self._body():
                    for part in parser.parse(piece):
                        if isinstance(part, MultipartSegment):
                            self._begin(part, seen=seen)
                            seen = True
                        elif part:
                            yield bytes(part)
        except MultipartError:
            raise Malformed("The form cannot be read, or it ends in the middle.") from None
        if not seen:
            raise Invalid.at("file", "is missing: the form needs one file", "missing")

    def _begin(self, part: Any, *, seen: bool) -> None:
        """What a form says beside its file would be lost, so it is refused."""
        if not part.filename:
            raise Invalid(f"{part.name}: belongs into the query string; the form only carries the file.")
        if seen:
            raise Invalid("The form carries more than one file.")
        self.filename = part.filename[:LONGEST_NAME]
        ending = "." + self.filename.rpartition(".")[2].lower()
        kind = (part.content_type or "").partition(";")[0].strip().lower()
        self.format = self.format or ENDINGS.get(ending) or FORMAT_OF.get(kind)
        if self.format is None:
            raise UnsupportedMediaType("The file is neither .csv nor .ndjson; say which with ?format=.")
