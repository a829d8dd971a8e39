"""Traces by OpenTelemetry, sent by OTLP over HTTP: from a frame or a question to the answer.

Off unless an endpoint is named; then every call here is a check for None, and the library need not
be installed (`lookback[tracing]`). A trace goes on in another process by its `traceparent` (W3C
Trace Context, section 3.2), which messages carry. Sampling, headers and the like are told by the
library's own OTEL_* variables.
"""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

log = logging.getLogger(__name__)

Attributes = Mapping[str, str | int | float | bool]

incoming: ContextVar[str | None] = ContextVar("incoming", default=None)
"""The traceparent of the request that is being served."""

_STANDARD: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PATH: Final = "/v1/traces"
_INSTALL: Final = "pip install 'lookback[tracing]'"


class TracingError(ValueError):
    """Traces are asked for and cannot be sent; the message says what to change."""


class Span:
    """One piece of work that has begun; `traceparent` is for those who go on with it."""

    def __init__(self, tracer: "Tracer", span: Any) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def traceparent(self) -> str:
        """As the header of that name."""
        carrier: dict[str, str] = {}
        self._tracer.propagator.inject(carrier, self._tracer.trace.set_span_in_context(self._span))
        return carrier.get("traceparent", "")

    def event(self, name: str, attributes: Attributes | None = None) -> None:
        """Something that happened now."""
        self._span.add_event(name, attributes)

    def end(
        self,
        attributes: Attributes | None = None,
        *,
        error: str | None = None,
        at: float | None = None,
    ) -> None:
        """It is over (at: monotonic seconds, None: now); error: why it failed."""
        self._span.set_attributes(dict(attributes or {}))
        if error is not None:
            self._span.set_status(self._tracer.trace.StatusCode.ERROR, error)
        self._span.end(None if at is None else _wall(at))


class Tracer:
    """Begins spans, and sends them from a thread of its own. endpoint: of a collector, as
    `http://host:4318`; None: as the standard variables say."""

    def __init__(self, part: str, endpoint: str | None) -> None:
        """Raises TracingError where the library is not installed."""
        try:
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise TracingError(f"Traces need a library that is missing: {_INSTALL}") from error
        url = None
        if endpoint is not None:
            if not endpoint.startswith(("http://", "https://")):
                raise TracingError(
                    f"LOOKBACK_TRACING={endpoint!r} is no address: write http://host:4318"
                )
            url = endpoint.rstrip("/").removesuffix(_PATH) + _PATH
        exporter = OTLPSpanExporter(endpoint=url)
        resource = Resource.create(
            {
                "service.name": os.environ.get("OTEL_SERVICE_NAME", f"lookback-{part}"),
                "service.namespace": "lookback",
            }
        )
        self.trace = trace
        self.propagator = TraceContextTextMapPropagator()
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("lookback")

    def begin(
        self,
        name: str,
        parent: str | None = None,
        attributes: Attributes | None = None,
        *,
        at: float | None = None,
        links: Sequence[str] = (),
    ) -> Span:
        """A span below that of the traceparent, or of a new trace (at: monotonic seconds when it
        began, None: now). links: traceparents of others that it rests on."""
        context = self.propagator.extract({} if not parent else {"traceparent": parent})
        spans = (self.trace.get_current_span(self.propagator.extract({"traceparent": link}))
                 for link in links)  # fmt: skip
        span = self._tracer.start_span(
            name,
            context,
            attributes=dict(attributes or {}),
            links=[self.trace.Link(each.get_span_context()) for each in spans],
            start_time=None if at is None else _wall(at),
        )
        return Span(self, span)

    def record(
        self,
        name: str,
        parent: str,
        began: float,
        ended: float,
        attributes: Attributes | None = None,
    ) -> None:
        """A span that is over already; times are monotonic seconds."""
        self.begin(name, parent, attributes, at=began).end(at=ended)

    def close(self) -> None:
        """Sends what is left; a collector that does not answer is not waited for long."""
        self._provider.force_flush(2000)
        self._provider.shutdown()


def tracer(part: str, endpoint: str | None) -> Tracer | None:
    """The process's tracer, None where no traces are wanted. endpoint: what LOOKBACK_TRACING says.
    Raises TracingError where that names one and traces cannot be sent."""
    if endpoint:
        return Tracer(part, endpoint)
    if not any(os.environ.get(name) for name in _STANDARD):
        return None
    try:
        return Tracer(part, None)
    except TracingError as error:  # the variable may be meant for others
        log.warning("no traces are sent: %s", error)
        return None


def _wall(at: float) -> int:
    """Nanoseconds since 1970 of a time on the monotonic clock, of this process."""
    return time.time_ns() - int((time.monotonic() - at) * 1e9)
