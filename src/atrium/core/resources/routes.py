"""All doors of a resource, under every path it declares."""

from litestar.handlers import HTTPRouteHandler

from atrium.core.resources.doors import bulk, reading, writing
from atrium.core.resources.doors.path import Path
from atrium.core.resources.resource import Resource


def handlers(resource: Resource) -> list[HTTPRouteHandler]:
    paths = [Path(resource, route, route == resource.path) for route in (resource.path, *resource.also)]
    return [handler for path in paths for part in (reading, writing, bulk) for handler in part.handlers(path)]
