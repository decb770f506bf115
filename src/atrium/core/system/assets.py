"""Files of the pages that this process shows: kept in memory, compressed once, named by their content."""

import asyncio
import gzip
from hashlib import sha256
from pathlib import Path
from typing import Any

from litestar import Request, Response

TYPES = {".js": "text/javascript", ".css": "text/css", ".png": "image/png", ".html": "text/html"}
FOREVER = "public, max-age=31536000, immutable"


class Asset:
    """A body, its compressed twin and its name by content."""

    def __init__(self, body: bytes, media_type: str) -> None:
        self.body = body
        self.media_type = media_type
        self.mark = sha256(body).hexdigest()[:16]
        self.packed = gzip.compress(body, 6, mtime=0) if not media_type.startswith("image/") else None

    def answer(self, request: Request[Any, Any, Any], cache_control: str, **headers: str) -> Response[bytes]:
        given = {
            "ETag": f'"{self.mark}"',
            "Cache-Control": cache_control,
            "Vary": "Accept-Encoding",
            **headers,
        }
        if f'"{self.mark}"' in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=304, headers=given, media_type=self.media_type)
        if self.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            given["Content-Encoding"] = "gzip"
            return Response(self.packed, headers=given, media_type=self.media_type)
        return Response(self.body, headers=given, media_type=self.media_type)


class Shelf:
    """The assets of one folder, read when somebody first asks; nothing else in the folder can be reached."""

    def __init__(self, folder: Path, names: dict[str, str] | None = None, texts: dict[str, str] | None = None) -> None:
        """`names` maps what is asked for to the file that holds it; `texts` are assets without a file."""
        self._folder = folder
        self._names = names or {}
        self._texts = texts or {}
        self._assets: dict[str, Asset] = {}

    async def find(self, name: str) -> Asset | None:
        if name not in self._assets:
            if name not in self._names and name not in self._texts:
                return None
            self._assets[name] = await asyncio.to_thread(self._load, name)
        return self._assets[name]

    def _load(self, name: str) -> Asset:
        media_type = TYPES[Path(name).suffix]
        if name in self._texts:
            return Asset(self._texts[name].encode(), media_type)
        body = (self._folder / self._names[name]).read_bytes()
        return Asset(gzip.decompress(body) if self._names[name].endswith(".gz") else body, media_type)
