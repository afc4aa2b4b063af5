"""Traces for OpenTelemetry, where `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector; without it nothing is imported or done.

Spans are of requests, of operations within them, and of jobs, which stand below the request that queued them. What a caller sent
is in none of them: names and ids, no values, no queries, no headers. How they are sampled and sent is said by the SDK's own
variables (`OTEL_SERVICE_NAME`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER` and so on).
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

Kind = Literal["server", "consumer", "internal"]
Attributes = Mapping[str, str | int | float | bool]
NAME = "coreplexml-server"
FLUSH_MS = 3_000

_tracer: Any = None
_provider: Any = None


class NotInstalled(RuntimeError):
    """A collector is named, and the library that would send to it is missing."""


def start(endpoint: str | None, part: str) -> None:
    """Begin to send spans, of this process as a `part` of the server. Raises NotInstalled."""
    global _tracer, _provider
    if endpoint is None or _tracer is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise NotInstalled(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: start once with EXTRAS=otel, or unset it."
        ) from error
    about = Resource.create({"coreplex.part": part})
    if str(about.attributes["service.name"]).startswith("unknown_service"):  # nobody has named it
        about = about.merge(Resource({"service.name": NAME}))
    _provider = TracerProvider(resource=about, shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer(NAME)


def stop() -> None:
    """Send what there is left, and end; blocks for a moment, however long the collector takes."""
    global _tracer, _provider
    if _provider is not None:
        ending = threading.Thread(target=_provider.shutdown, daemon=True)
        ending.start()
        ending.join(FLUSH_MS / 1000)
    _tracer = _provider = None


def is_on() -> bool:
    """Whether spans are sent."""
    return _tracer is not None


@contextmanager
def span(name: str, kind: Kind, attributes: Attributes, parent: str | None = None) -> Iterator[None]:
    """A span around what is done; below `parent`, the `traceparent` of the W3C (Trace Context), where one is given. An exception
    that leaves it is noted by its type alone."""
    if _tracer is None:
        yield
        return
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract({"traceparent": parent}) if parent else None
    options = {"record_exception": False, "set_status_on_exception": False}
    with _tracer.start_as_current_span(name, context, SpanKind[kind.upper()], attributes, **options) as current:
        try:
            yield
        except BaseException as error:
            current.set_attribute("error.type", type(error).__qualname__)
            current.set_status(Status(StatusCode.ERROR))
            raise


def describe(name: str | None = None, *, failed: bool = False, **attributes: str | int | float | bool) -> None:
    """Say more of the span that is being worked in; `__` in names of attributes stands for a dot."""
    if _tracer is None:
        return
    from opentelemetry.trace import Status, StatusCode, get_current_span

    current = get_current_span()
    if name is not None:
        current.update_name(name)
    current.set_attributes({key.replace("__", "."): value for key, value in attributes.items()})
    if failed:
        current.set_status(Status(StatusCode.ERROR))


def traceparent() -> str | None:
    """The `traceparent` of the span that is being worked in; None where there is none."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")
