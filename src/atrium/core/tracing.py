"""Spans by OpenTelemetry: of requests, statements and jobs, when the settings say who receives them.

Whoever makes spans holds a `Tracing` or None, so that switched off it costs one comparison. The libraries belong to
the extra `otel` and are imported only here, and only when it is on. Nothing of a value leaves: statements are sent as
their text with parameters, routes as their template, users as a digest.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

PARENT = "traceparent"
STATE = "tracestate"
TEXT_LENGTH = 2000
EXPORT_SECONDS = 5


def is_installed() -> bool:
    """Whether the extra `otel` is there."""
    try:
        return find_spec("opentelemetry.sdk") is not None and find_spec("opentelemetry.exporter.otlp") is not None
    except ModuleNotFoundError:
        return False


class Tracing:
    """The spans of one process; `close` sends what is left."""

    def __init__(self, service: str, endpoint: str = "") -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        receiver = f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None
        released = version("atrium")
        resource = Resource.create({"service.name": service, "service.version": released})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(receiver, timeout=EXPORT_SECONDS)))
        self._tracer = self._provider.get_tracer("atrium", released)
        self._trace = trace
        self._w3c = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Send what is left; waits, so not from the event loop."""
        self._provider.shutdown()

    @contextmanager
    def request(self, scope: Mapping[str, Any]) -> Iterator[None]:
        """A request's span, below the caller's when it sent `traceparent`."""
        wanted = (PARENT.encode(), STATE.encode())
        carrier = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in wanted}
        attributes = {"http.request.method": scope["method"], "url.scheme": scope["scheme"]}
        with self._span(scope["method"], "SERVER", attributes, carrier):
            yield

    def answered(self, method: str, route: str | None, status: int, user_id: object = None) -> None:
        """What is known of the request whose span is the current one, now that it is answered."""
        span = self._trace.get_current_span()
        span.set_attribute("http.response.status_code", status)
        if route is not None:
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
        if user_id is not None:
            span.set_attribute("enduser.pseudo.id", hashlib.sha256(str(user_id).encode()).hexdigest()[:16])
        if status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)

    @contextmanager
    def job(self, name: str, task_id: object, attempt: int, parent: str = "") -> Iterator[None]:
        """A job's span, below the request that asked for it when its worker was told."""
        attributes = {"messaging.message.id": str(task_id), "atrium.attempt": attempt}
        with self._span(f"job {name}", "CONSUMER", attributes, {PARENT: parent} if parent else {}):
            yield

    def failed(self, reason: str) -> None:
        """The current span ended badly although nothing was raised through it."""
        self._trace.get_current_span().set_status(self._trace.StatusCode.ERROR, reason)

    def statement(self, sql: str) -> Any:
        """A started span for a statement, to be ended; None outside of a span, because polling would only be noise."""
        if not self._trace.get_current_span().is_recording():
            return None
        text = sql.strip()[:TEXT_LENGTH]
        verb = text.partition(" ")[0].partition("\n")[0].upper()[:20]
        attributes = {"db.system.name": "postgresql", "db.operation.name": verb, "db.query.text": text}
        return self._tracer.start_span(verb, kind=self._trace.SpanKind.CLIENT, attributes=attributes)

    def end(self, span: Any, error: BaseException | None = None) -> None:
        """The end of a statement. The kind of an error is told, not its text, which may quote values."""
        if error is not None:
            span.set_attribute("error.type", getattr(error, "sqlstate", None) or type(error).__name__)
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()

    def parent(self) -> str:
        """The current span as a `traceparent`, for what goes on elsewhere; empty outside of one."""
        carrier: dict[str, str] = {}
        self._w3c.inject(carrier)
        return carrier.get(PARENT, "")

    @contextmanager
    def _span(self, name: str, kind: str, attributes: Mapping[str, Any], carrier: Mapping[str, str]) -> Iterator[None]:
        context = self._w3c.extract(carrier) if carrier else None
        spans = self._tracer.start_as_current_span(
            name,
            context=context,
            kind=self._trace.SpanKind[kind],
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        )
        with spans as span:
            try:
                yield
            except asyncio.CancelledError:
                # A caller who went away, or a worker that stops and gives its task back: nobody failed.
                raise
            except BaseException as error:
                # Its text may quote values, so only the log has it.
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(self._trace.StatusCode.ERROR)
                raise


def current_trace_id() -> str:
    """The id of the trace that is being recorded here, for logs; empty outside of one."""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else ""
