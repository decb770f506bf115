"""The door of every WebSocket (platform.md §10.1): who may enter, what a frame is, and why a socket is closed.

    @websocket("/ws/notifications", public=True)
    async def notifications(socket: WebSocket) -> None:
        await serve(socket, hello=greet, frames={"read": mark_read})

`public=True` because a browser sees close codes only of accepted sockets: the door authenticates by itself. Each
frame is handled in a task of its own, so that a `cancel` reaches a `message` that still runs; one socket has at most
`AT_ONCE` of them. A handler's AtriumError becomes an error frame, anything else the frame INTERNAL and a log entry.

Close codes: 4001 no, invalid, expired or revoked token · 4403 what the path names is not the caller's (hello raised
Forbidden or NotFound) · 4408 idle · 4429 too many sockets or frames · 1009 frame too big · 1012 restart · 1013 too
slow to listen.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from atrium.core import clock
from atrium.core.access import Principal
from atrium.core.errors import AtriumError, Forbidden, Malformed, NotFound, RateLimited, Unauthenticated
from atrium.core.realtime.admission import STAY_SECONDS, Admission
from atrium.core.realtime.hub import BACKLOG, RESTARTING, TRY_AGAIN_LATER, Hub
from atrium.core.realtime.publish import topic_of
from atrium.core.runtime import Runtime

log = structlog.get_logger()
Frame = dict[str, Any]
NOT_AUTHENTICATED, FOREIGN, IDLE, ABUSE, TOO_BIG, BROKEN = 4001, 4403, 4408, 4429, 1009, 1011
SUBPROTOCOL = "bearer"
FRAME_BYTES = 16 * 1024
AUTHENTICATE_WITHIN = 5.0
RECHECK_SECONDS = 2.0
WARN_BEFORE_EXPIRY = 30.0
IDLE_SECONDS = 600.0
SLOW_SECONDS = 10.0
WATCHED_AT_ONCE = 500
FLUSH_SECONDS = 1.0
ROOM, ROOM_BYTES = 64, 256 * 1024
AT_ONCE = 8
ALWAYS = frozenset({"cancel"})
"""Types that are handled although `AT_ONCE` others run: they end one of those."""
FRAMES_PER_SECOND, BURST, STRIKES = 10.0, 60.0, 30


class UnknownType(Malformed):
    """Unknown Frame Type"""


class BadJson(Malformed):
    """Not A Frame"""


class _Closed(Exception):
    """The socket is to be closed, or already is when the code is 0."""

    def __init__(self, code: int = 0, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class Connection:
    """One authenticated socket; `state` is the feature's own, `principal` has the roles of the moment."""

    __slots__ = (
        "_ending",
        "_is_open",
        "_outgoing",
        "_reader",
        "_room",
        "_topics",
        "_waiting_bytes",
        "_writer",
        "id",
        "principal",
        "runtime",
        "socket",
        "state",
        "token",
    )

    def __init__(self, socket: "WebSocket[Any, Any, Any]", runtime: Runtime, principal: Principal, token: str) -> None:
        self.id = str(clock.new_id())
        self.socket, self.runtime, self.principal, self.token = socket, runtime, principal, token
        self.state: dict[str, Any] = {}
        self._outgoing: list[str] = []
        self._waiting_bytes = 0
        self._room: list[asyncio.Future[None]] = []
        self._writer: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[Any] | None = None
        self._is_open = False
        self._ending: _Closed | None = None
        self._topics: set[str] = set()

    async def send(self, frame: Mapping[str, Any]) -> None:
        """Queue a frame; waits for a slow client for a while and then gives the socket up."""
        try:
            async with asyncio.timeout(SLOW_SECONDS):
                while len(self._outgoing) >= BACKLOG:
                    await self.room()
        except TimeoutError:
            self.end(TRY_AGAIN_LATER, "too slow")
        self.offer(encode(frame))

    def offer(self, text: str) -> None:
        if len(self._outgoing) >= BACKLOG:
            self.end(TRY_AGAIN_LATER, "too slow")
            return
        self._outgoing.append(text)
        self._waiting_bytes += len(text)
        if self._writer is None and self._is_open:
            self._writer = asyncio.create_task(self._write())

    @property
    def waiting(self) -> int:
        """Frames that the client has not taken yet."""
        return len(self._outgoing)

    @property
    def has_room(self) -> bool:
        """For what can be read later just as well; the rest of the queue is kept for what cannot."""
        return len(self._outgoing) < ROOM and self._waiting_bytes < ROOM_BYTES

    async def room(self) -> None:
        """Until a good part of the queue is free."""
        if not self.has_room:
            waiting = asyncio.get_running_loop().create_future()
            self._room.append(waiting)
            await waiting

    def greet(self, frame: Mapping[str, Any]) -> None:
        """Queue the first frame ahead of what was published meanwhile, and begin to write."""
        self._outgoing.insert(0, encode(frame))
        self._waiting_bytes += len(self._outgoing[0])
        self._is_open = True
        self._writer = asyncio.create_task(self._write())

    def end(self, code: int, reason: str, event: str = "") -> None:
        if event:
            self._outgoing.append(encode({"type": "system", "event": event, "message": reason.capitalize() + "."}))
        if self._ending is None:
            self._ending = _Closed(code, reason)
            if self._reader is not None:
                self._reader.cancel()

    async def follow(self, topic: str) -> None:
        """Also forward what is published to this topic (`publish_to`); whether it may is the caller's to decide."""
        hub: Hub | None = self.runtime.parts.get("hub")
        if hub is not None and topic not in self._topics:
            self._topics.add(topic)
            await hub.join(topic, self)

    async def unfollow(self, topic: str) -> None:
        hub: Hub | None = self.runtime.parts.get("hub")
        if hub is not None and topic in self._topics:
            self._topics.discard(topic)
            await hub.leave(topic, self)

    async def unfollow_all(self) -> None:
        for topic in tuple(self._topics):
            await self.unfollow(topic)

    async def reading(self, read: Coroutine[Any, Any, None]) -> "_Closed":
        """Read in the socket's own task until the connection ends, and tell how; a task more would cost memory."""
        task = self._reader = asyncio.current_task()
        try:
            if self._ending is None:
                await read
        except asyncio.CancelledError:
            if self._ending is None or task is None or task.uncancel():
                raise
        except _Closed as end:
            self._ending = self._ending or end
        except Exception:
            log.exception("socket_failed")
            self._ending = self._ending or _Closed(BROKEN, "something went wrong")
        finally:
            self._reader = None
            read.close()
        return self._ending or _Closed()

    async def _write(self) -> None:
        """Send what is queued. A socket that has nothing to say has no writer."""
        try:
            await self._drain()
        except (WebSocketDisconnect, RuntimeError, OSError):
            self.end(0, "")
        except Exception:
            log.exception("socket_failed")
            self.end(BROKEN, "something went wrong")
        finally:
            self._writer = None

    async def _drain(self) -> None:
        while self._outgoing:
            text = self._outgoing.pop(0)
            self._waiting_bytes -= len(text)
            await self.socket.send_text(text)
            if self._room and len(self._outgoing) <= ROOM // 2 and self._waiting_bytes <= ROOM_BYTES // 2:
                waiting, self._room = self._room, []
                for one in waiting:
                    if not one.done():
                        one.set_result(None)

    async def close(self, *, flush: bool) -> None:
        """Write no more, but what is queued if it can be sent soon."""
        self._is_open = False
        if self._writer is not None and not flush:
            self._writer.cancel()
        if self._writer is None and flush and self._outgoing:
            self._writer = asyncio.create_task(self._write())
        if (writer := self._writer) is not None:
            await asyncio.wait({writer}, timeout=FLUSH_SECONDS)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)


Hello = Callable[[Connection], Awaitable[Frame]]
Handler = Callable[[Connection, Frame], Awaitable[None]]
Farewell = Callable[[Connection], Awaitable[None]]


async def serve(
    socket: "WebSocket[Any, Any, Any]",
    *,
    hello: Hello,
    frames: Mapping[str, Handler],
    closed: Farewell | None = None,
) -> None:
    """Run one socket from its handshake to its close; returns when it is closed."""
    runtime: Runtime = socket.app.state.runtime
    offered = socket.scope.get("subprotocols") or []
    await socket.accept(subprotocols=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    try:
        if runtime.draining:
            raise _Closed(RESTARTING, "restarting")
        token = await _token(socket, offered)
        connection = Connection(socket, runtime, _authenticate(runtime, token), sys.intern(token))
        _forget_handshake(socket)
        await _admitted(connection, hello, frames, closed)
    except _Closed as end:
        if end.code:
            with suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
                reason = end.reason.encode()[:120].decode(errors="ignore")
                await asyncio.wait_for(socket.close(end.code, reason), SLOW_SECONDS)


def _forget_handshake(socket: "WebSocket[Any, Any, Any]") -> None:
    """Nobody reads it again, and of thousands of idle sockets it would be kilobytes each."""
    socket.scope["headers"] = []
    socket.scope["subprotocols"] = []


async def _token(socket: "WebSocket[Any, Any, Any]", offered: list[str]) -> str:
    """From the query, from `Sec-WebSocket-Protocol: bearer,<jwt>`, or from a first auth frame."""
    if token := socket.query_params.get("token"):
        return str(token)
    if SUBPROTOCOL in offered and (others := [one for one in offered if one != SUBPROTOCOL]):
        return others[0]
    try:
        text = await asyncio.wait_for(_receive(socket), AUTHENTICATE_WITHIN)
        frame = read_frame(text)
    except (TimeoutError, BadJson):
        raise _Closed(NOT_AUTHENTICATED, "no token") from None
    token = frame.get("token")
    if frame["type"] != "auth" or not isinstance(token, str):
        raise _Closed(NOT_AUTHENTICATED, "the first frame must be auth with a token")
    return token


def _authenticate(runtime: Runtime, token: str) -> Principal:
    if runtime.authenticator is None:
        raise _Closed(TRY_AGAIN_LATER, "not ready")
    try:
        return runtime.authenticator.authenticate(token)
    except Unauthenticated as error:
        raise _Closed(NOT_AUTHENTICATED, error.detail) from None
    except AtriumError as error:
        raise _Closed(TRY_AGAIN_LATER, error.detail) from None


async def _receive(socket: "WebSocket[Any, Any, Any]") -> str | bytes:
    try:
        event: Any = await socket.receive()
    except WebSocketDisconnect:
        raise _Closed from None
    if event["type"] == "websocket.disconnect":
        raise _Closed
    text = event.get("text")
    data: str | bytes = text if text is not None else event.get("bytes") or b""
    if len(data) > FRAME_BYTES or (isinstance(data, str) and not data.isascii() and len(data.encode()) > FRAME_BYTES):
        raise _Closed(TOO_BIG, f"a frame has at most {FRAME_BYTES} bytes")
    return data


def read_frame(data: str | bytes) -> Frame:
    """A JSON object with a `type`; raises BadJson."""
    try:
        frame = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadJson("The frame is not JSON.") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise BadJson('A frame is a JSON object with a "type".')
    return frame


def encode(frame: Mapping[str, Any]) -> str:
    return msgspec.json.encode(frame).decode()


def failure(error: AtriumError, frame: Mapping[str, Any]) -> Frame:
    """The error frame that answers a frame, with its id."""
    answer: Frame = {"type": "error", "code": error.instance_code, "message": error.detail}
    if "id" in frame:
        answer["id"] = frame["id"]
    if "Retry-After" in error.headers:
        answer["retry_after"] = int(error.headers["Retry-After"])
    return answer


async def _admitted(
    connection: Connection, hello: Hello, frames: Mapping[str, Handler], closed: Farewell | None
) -> None:
    admission = Admission(connection.runtime, connection.principal.user_id, connection.id)
    if not await admission.enter():
        raise _Closed(ABUSE, "too many sockets")
    try:
        await connection.follow(topic_of(connection.principal.user_id))
        connection.greet(await _greet(connection, hello))
        await _Session(connection, frames, admission).run()
    finally:
        await connection.close(flush=False)
        await connection.unfollow_all()
        await admission.leave()
        await _farewell(connection, closed)


async def _farewell(connection: Connection, closed: Farewell | None) -> None:
    if closed is None:
        return
    try:
        await closed(connection)
    except Exception:
        log.exception("socket_farewell_failed")


async def _greet(connection: Connection, hello: Hello) -> Frame:
    try:
        return await hello(connection)
    except (Forbidden, NotFound) as error:
        raise _Closed(FOREIGN, error.detail) from None
    except Unauthenticated as error:
        raise _Closed(NOT_AUTHENTICATED, error.detail) from None
    except AtriumError as error:
        raise _Closed(TRY_AGAIN_LATER, error.detail) from None
    except Exception:
        log.exception("socket_hello_failed")
        raise _Closed(BROKEN, "something went wrong") from None


class _Session:
    """The running socket: what it reads, the handlers in flight, and what the watch looks at."""

    __slots__ = ("admission", "allowance", "connection", "frames", "handling", "heard", "renewed", "strikes", "warned")

    def __init__(self, connection: Connection, frames: Mapping[str, Handler], admission: Admission) -> None:
        self.connection, self.frames, self.admission = connection, frames, admission
        self.handling: set[asyncio.Task[None]] = set()
        self.heard = self.renewed = time.monotonic()
        self.allowance, self.strikes = BURST, 0
        self.warned = False

    async def run(self) -> None:
        watch = _Watch.of(self.connection.runtime)
        watch.add(self)
        try:
            end = await self.connection.reading(self._read())
        finally:
            watch.remove(self)
            for task in self.handling:
                task.cancel()
            if self.handling:
                await asyncio.gather(*self.handling, return_exceptions=True)
        await self.connection.close(flush=bool(end.code))
        raise end

    async def _read(self) -> None:
        while True:
            data = await _receive(self.connection.socket)
            self._pace()
            frame: Frame = {}
            try:
                frame = read_frame(data)
                await self._dispatch(frame)
            except AtriumError as error:
                await self.connection.send(failure(error, frame))

    def _pace(self) -> None:
        """A bucket of frames; who keeps on sending when told to wait is sent away."""
        moment = time.monotonic()
        self.allowance = min(BURST, self.allowance + (moment - self.heard) * FRAMES_PER_SECOND) - 1
        self.heard = moment
        if self.allowance >= 0:
            self.strikes = 0
            return
        self.strikes += 1
        if self.strikes > STRIKES:
            raise _Closed(ABUSE, "too many frames")

    async def _dispatch(self, frame: Frame) -> None:
        kind = frame["type"]
        if self.allowance < 0:
            raise RateLimited("Too many frames.", retry_after=1)
        if kind == "ping":
            await self.connection.send({"type": "pong", "id": frame.get("id"), "timestamp": clock.stamp(clock.now())})
        elif kind == "auth":
            self._prolong(frame)
        elif kind not in self.frames:
            allowed = ", ".join(sorted({"ping", "auth", *self.frames}))
            raise UnknownType(f"{kind[:100]} is not a frame type here; there are {allowed}.")
        elif len(self.handling) >= AT_ONCE and kind not in ALWAYS:
            raise RateLimited(f"At most {AT_ONCE} frames are worked on at a time.", retry_after=1)
        else:
            task = asyncio.create_task(self._handle(self.frames[kind], frame), name=f"socket frame {kind}")
            self.handling.add(task)
            task.add_done_callback(self.handling.discard)

    async def _handle(self, handler: Handler, frame: Frame) -> None:
        try:
            await handler(self.connection, frame)
        except AtriumError as error:
            await self.connection.send(failure(error, frame))
        except Exception:
            log.exception("socket_frame_failed", frame_type=frame["type"])
            await self.connection.send(failure(AtriumError(), frame))

    def _prolong(self, frame: Frame) -> None:
        token = frame.get("token")
        principal = _authenticate(self.connection.runtime, token if isinstance(token, str) else "")
        if principal.user_id != self.connection.principal.user_id:
            raise _Closed(NOT_AUTHENTICATED, "the token is somebody else's")
        self.connection.principal, self.connection.token = principal, str(token)
        self.warned = False

    def check(self) -> float:
        """Ask again who the caller is, warn before the token ends, end what is idle.

        Answers in how many seconds the token has its next event.
        """
        connection = self.connection
        connection.principal = _authenticate(connection.runtime, connection.token)
        left = connection.principal.expires_at - time.time() if connection.principal.expires_at else float("inf")
        if left <= 0:
            raise _Closed(NOT_AUTHENTICATED, "the token has expired")
        if left <= WARN_BEFORE_EXPIRY and not self.warned:
            self.warned = True
            connection.offer(encode(_expiring(connection.principal.expires_at)))
        if time.monotonic() - self.heard >= IDLE_SECONDS and not self.handling:
            raise _Closed(IDLE, "idle")
        return left if self.warned else left - WARN_BEFORE_EXPIRY


class _Watch:
    """One watch over all sockets of a process: a task for each would cost more than all else that it is."""

    def __init__(self) -> None:
        self._sessions: set[_Session] = set()
        self._task: asyncio.Task[None] | None = None
        self._renewing: set[asyncio.Task[bool]] = set()

    @classmethod
    def of(cls, runtime: Runtime) -> "_Watch":
        found: _Watch = runtime.parts.setdefault("socket_watch", cls())
        return found

    def add(self, session: _Session) -> None:
        self._sessions.add(session)
        self._look(session)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="watch over sockets")

    def remove(self, session: _Session) -> None:
        self._sessions.discard(session)
        if not self._sessions and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            for number, session in enumerate(tuple(self._sessions), 1):
                self._look(session)
                if number % WATCHED_AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _look(self, session: _Session) -> None:
        if session not in self._sessions:
            return
        try:
            next_event = session.check()
        except _Closed as end:
            session.connection.end(end.code, end.reason)
        except Exception:
            log.exception("socket_failed")
            session.connection.end(BROKEN, "something went wrong")
        else:
            self._renew(session)
            if next_event < RECHECK_SECONDS:
                asyncio.get_running_loop().call_later(max(0.01, next_event), self._look, session)

    def _renew(self, session: _Session) -> None:
        """Keep the user's place."""
        if time.monotonic() - session.renewed >= STAY_SECONDS / 3:
            session.renewed = time.monotonic()
            task = asyncio.create_task(session.admission.stay())
            self._renewing.add(task)
            task.add_done_callback(self._renewing.discard)


def _expiring(expires_at: float) -> Frame:
    until = clock.stamp(datetime.fromtimestamp(expires_at, UTC))
    message = 'The token ends soon: send {"type":"auth","token":"…"} with a new one.'
    return {"type": "system", "event": "token_expiring", "message": message, "expires_at": until}


def connected(principal: Principal, **more: Any) -> Frame:
    """The usual first frame."""
    return {
        "type": "system",
        "event": "connected",
        "message": "Connected to Atrium",
        "user_id": str(principal.user_id),
        "timestamp": clock.stamp(clock.now()),
        "protocol": 2,
        **more,
    }
