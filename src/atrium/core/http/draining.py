"""Leaving without dropping anything: the moment SIGTERM arrives, not the moment the server is done.

uvicorn runs the application's shutdown only after every connection has closed. So the signal itself is listened to, in
front of uvicorn's own handler: readiness turns 503, answers say `Connection: close`, and sockets are told to
come back (1012).
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType

import structlog

from atrium.core.runtime import Runtime

log = structlog.get_logger()
SIGNALS = (signal.SIGTERM, signal.SIGINT)
SERVICE_RESTART = 1012


def drain_on_signal(runtime: Runtime) -> Callable[[], None] | None:
    """Drain before the server's own handler acts; returns what undoes it. None where no server handles signals."""
    if threading.current_thread() is not threading.main_thread():
        return None
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    handled = {number: act for number, act in before.items() if callable(act) and act is not signal.default_int_handler}

    def leave(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(drain, runtime)
        handled[signal.Signals(number)](number, frame)

    for number in handled:
        signal.signal(number, leave)

    def undo() -> None:
        for number, act in handled.items():
            if signal.getsignal(number) is leave:
                signal.signal(number, act)

    return undo if handled else None


def drain(runtime: Runtime) -> None:
    """Take no more and say goodbye: idempotent, from the event loop."""
    if runtime.draining:
        return
    runtime.draining = True
    log.info("draining")
    hub = runtime.parts.get("hub")
    if hub is not None:
        hub.close_all(code=SERVICE_RESTART)
