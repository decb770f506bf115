"""A plain create with a key: the record and its answer are kept by one statement."""

from collections.abc import Awaitable, Callable

from litestar import Response

from atrium.core.access import Principal
from atrium.core.errors import AtriumError
from atrium.core.replays.keys import Asked
from atrium.core.replays.statements import find, forget
from atrium.core.runtime import Runtime


async def once(
    runtime: Runtime,
    principal: Principal,
    asked: Asked,
    request_sha256: bytes,
    make: Callable[[], Awaitable[Response[bytes]]],
) -> Response[bytes]:
    """Make it, or answer what making it was answered before.

    The key is looked at only when making failed: the failure may be that the record is already there.
    """
    try:
        return await make()
    except AtriumError:
        kept = await find(runtime, asked)
        if kept is None:
            raise
    if kept.lapsed:
        await forget(runtime, kept)
        return await make()
    kept.require_finished()
    return kept.answer(request_sha256, principal)
