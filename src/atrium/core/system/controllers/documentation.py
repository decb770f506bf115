"""`/docs`, `/redoc` and `/openapi.json`, complete without a network: every byte is served from here."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from litestar import Controller, Litestar, Request, Response, get
from litestar.params import FromPath

from atrium.core.errors import NotFound
from atrium.core.http.requests import runtime_of
from atrium.core.runtime import Runtime
from atrium.core.system.assets import FOREVER, Asset, Shelf

AnyRequest = Request[Any, Any, Any]
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
START_SWAGGER = """\
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "none",
  filter: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
START_REDOC = """\
Redoc.init("/openapi.json", { hideDownloadButtons: false, disableSearch: false }, document.getElementById("docs"));
"""
# ReDoc asks a content network for its maker's logo; the page's policy refuses, so nothing broken should show.
STYLE = """\
body { margin: 0; }
img[src^="https://cdn.redoc.ly/"] { display: none; }
"""
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Atrium: {title}</title>
<link rel="icon" type="image/png" href="{icon}">
{styles}
</head>
<body>
<div id="docs"></div>
{scripts}
</body>
</html>
"""
FILES = ("swagger-ui.css", "swagger-ui-bundle.js", "redoc.standalone.js", "favicon.png")
shelf = Shelf(
    Path(__file__).parent.parent / "static",
    {name: name for name in FILES},
    {"start-swagger.js": START_SWAGGER, "start-redoc.js": START_REDOC, "page.css": STYLE},
)


class DocumentationController(Controller):
    include_in_schema = False

    @get("/docs", public=True)
    async def swagger(self, request: AnyRequest) -> Response[bytes]:
        page = await _page("API", ("swagger-ui.css", "page.css"), ("swagger-ui-bundle.js", "start-swagger.js"))
        return page.answer(request, "no-cache", **{"Content-Security-Policy": POLICY})

    @get("/redoc", public=True)
    async def redoc(self, request: AnyRequest) -> Response[bytes]:
        page = await _page("reference", ("page.css",), ("redoc.standalone.js", "start-redoc.js"))
        return page.answer(request, "no-cache", **{"Content-Security-Policy": POLICY})

    @get("/docs/static/{name:str}", public=True)
    async def static(self, request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
        asset = await shelf.find(name)
        if asset is None:
            raise NotFound
        return asset.answer(request, FOREVER)

    @get("/openapi.json", public=True)
    async def openapi(self, request: AnyRequest) -> Response[bytes]:
        document = await openapi_of(runtime_of(request), request.app)
        return document.answer(request, "no-cache")


async def openapi_of(runtime: Runtime, app: Litestar) -> Asset:
    """The document as bytes: built by whoever asks first, beside the event loop, because it takes seconds."""
    building: asyncio.Task[Asset] | None = runtime.parts.get("openapi")
    if building is None or (building.done() and (building.cancelled() or building.exception())):
        building = asyncio.create_task(asyncio.to_thread(_build, app))
        runtime.parts["openapi"] = building
    return await asyncio.shield(building)


def _build(app: Litestar) -> Asset:
    document = app.openapi_schema.to_schema()
    return Asset(msgspec.json.Encoder(enc_hook=str, decimal_format="number").encode(document), "application/json")


async def _page(title: str, styles: tuple[str, ...], scripts: tuple[str, ...]) -> Asset:
    """A page whose files carry their content in their address, so that they can be kept for ever."""
    text = PAGE.format(
        title=title,
        icon=await _address("favicon.png"),
        styles="\n".join([f'<link rel="stylesheet" href="{await _address(name)}">' for name in styles]),
        scripts="\n".join([f'<script src="{await _address(name)}"></script>' for name in scripts]),
    )
    return Asset(text.encode(), "text/html")


async def _address(name: str) -> str:
    asset = await shelf.find(name)
    return f"/docs/static/{name}?v={asset.mark if asset else ''}"
