"""Logs: one JSON object per line on stderr, whoever writes it, with every credential replaced before it leaves.

uvicorn writes the URL of a socket, token included, even with its access log off; so the last step works on the finished
line and not on the fields that somebody remembered to mask.
"""

import asyncio
import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog

from atrium.core.config import Settings
from atrium.core.tracing import current_trace_id

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
HIDDEN = "[hidden]"
SECRET_KEYS = re.compile(
    r"password|passwd|secret|token|authorization|cookie|api[_-]?key|credential|private|signature|otp|recovery_code",
    re.IGNORECASE,
)
PLAIN_KEYS = frozenset({"token_type", "token_version", "tokens", "prompt_tokens", "completion_tokens", "total_tokens"})
SECRET_TEXT = re.compile(
    r"""
      (?P<pair> \b(?:[\w-]*(?:token|password|passwd|secret|api[_-]?key|ticket|signature)) (?:=|%3D) ) [^&\s"'\\<>]+
    | (?P<scheme> \b(?:Bearer|Basic) (?:\s|%20|,\s?)+ ) [\w.~+/=-]{8,}
    | \beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?
    | \batr_[\w-]{8,}
    | (?P<values> \[parameters:\s ) .*? (?=\](?:\\n|"|$))
    | (?P<user> ://[^:/@\s"]* : ) [^@\s"/]+ (?=@)
    """,
    re.VERBOSE | re.IGNORECASE,
)
DEPTH = 6


def redact(text: str) -> str:
    """The text without credentials: JWTs, API keys, `token=…`, `Bearer …`, passwords in URLs, values of SQL."""
    return SECRET_TEXT.sub(lambda found: (found[found.lastgroup] if found.lastgroup else "") + HIDDEN, text)


def mask(value: Any, depth: int = DEPTH) -> Any:
    """The value with the members that are named like a secret replaced."""
    if depth == 0 or not isinstance(value, Mapping | list | tuple):
        return value
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if _is_secret(key) and each not in (None, "") else mask(each, depth - 1)
            for key, each in value.items()
        }
    return [mask(each, depth - 1) for each in value]


def _is_secret(key: Any) -> bool:
    return isinstance(key, str) and key not in PLAIN_KEYS and SECRET_KEYS.search(key) is not None


def _mask_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    masked: dict[str, Any] = mask(event)
    return masked


def _add_request_id(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if request_id := REQUEST_ID.get():
        event.setdefault("request_id", request_id)
    return event


def _add_trace_id(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if trace_id := current_trace_id():
        event.setdefault("trace_id", trace_id)
    return event


def _render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    return redact(msgspec.json.encode(event, enc_hook=repr).decode())


SHARED: tuple[Any, ...] = (
    structlog.contextvars.merge_contextvars,
    _add_request_id,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    structlog.processors.EventRenamer("message"),
    _mask_event,
)
OWN_ACCESS_LOG = ("uvicorn.access",)
NOISY = ("httpx", "httpcore", "asyncio")


class Stderr(logging.StreamHandler[Any]):
    """Writes to what stderr is at the moment, because test runners and servers replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def configure(settings: Settings) -> None:
    """Route structlog and the standard library (uvicorn's loggers included) through one handler on stderr."""
    shared = (_add_trace_id, *SHARED) if settings.traces else SHARED
    handler = Stderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    logging.captureWarnings(capture=True)
    for name in list(logging.root.manager.loggerDict):
        one = logging.getLogger(name)
        if one.handlers:
            one.handlers.clear()
            one.propagate = True
    for name in OWN_ACCESS_LOG:
        # Without a handler in reach uvicorn does not even build its line; the edge writes ours.
        logging.getLogger(name).propagate = False
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


class Line(msgspec.Struct, gc=False):
    """One line of the access log."""

    message: str
    method: str
    status: int
    duration_ms: float
    request_id: str
    path: str = ""
    user_id: UUID | None = None
    timestamp: datetime | None = None
    level: str = "info"
    logger: str = "access"
    trace_id: str | msgspec.UnsetType = msgspec.UNSET


class AccessLog:
    """Lines kept for a moment and written together: a write per request would cost more than the line."""

    DELAY = 0.05
    MOST = 1000

    def __init__(self, descriptor: int = 2) -> None:
        self.lines: list[Line] = []
        self._descriptor = descriptor
        self._waiting: asyncio.TimerHandle | None = None
        self._encoder = msgspec.json.Encoder()

    def add(self, line: Line) -> None:
        self.lines.append(line)
        if len(self.lines) >= self.MOST:
            self.flush()
        elif self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(self.DELAY, self.flush)

    def flush(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        lines, self.lines = self.lines, []
        if lines:
            _write(self._descriptor, self._encoder.encode_lines(lines))


def _write(descriptor: int, text: bytes) -> None:
    """All of it, or as much as a full or closed pipe takes: a log never stops an answer."""
    rest = memoryview(text)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        return
