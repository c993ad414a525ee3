"""Spans of requests, in OpenTelemetry's words and format; this module is loaded only where a setting asks for traces.

The spans leave by a sender of our own: that of OpenTelemetry logs each of its tries, sends what is for this machine
through a proxy, and brings a second HTTP client. Their encoding is the library's. What it reads from the environment
holds here too, such as OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES and OTEL_BSP_MAX_QUEUE_SIZE.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, TypeVarTuple

import httpx
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from portfolio_shared.addresses import shown
from portfolio_shared.proxies import NetworkSettingsError, describe_failure, mlflow_credentials, open_client
from portfolio_shared.serving.settings import ServiceSettings

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0  # how long the end of a service waits for its last spans to leave
EXPERIMENT_HEADER = "x-mlflow-experiment-id"

_propagator = TraceContextTextMapPropagator()


class RequestSpan:
    """The span of a request that is being answered.

    Attributes
    ----------
    trace_id
        32 hexadecimal digits. MLflow calls the trace ``tr-`` and these.
    header
        The same with the span's own id, as the response header `traceresponse` has them.
    """

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._before = context.attach(trace.set_span_in_context(span))
        ids = span.get_span_context()
        self.trace_id = trace.format_trace_id(ids.trace_id)
        self.header = f"00-{self.trace_id}-{trace.format_span_id(ids.span_id)}-{ids.trace_flags:02x}".encode()

    def end(self, *, method: str, route: str, status: int, version: str, ids: Mapping[str, str]) -> None:
        """Let the span say what was answered: no path, no query, no body, and nothing about a person."""
        context.detach(self._before)
        self._span.update_name(f"{method} {route}")
        attributes = {name.replace("_", "."): value for name, value in ids.items()}
        if version:
            attributes["model.version"] = version
        self._span.set_attributes({"http.route": route, "http.response.status_code": status, **attributes})
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class Tracing:
    """The spans of one service, on their way to what receives them; a request never waits for that.

    Parameters
    ----------
    experiment
        MLflow's, by name: where it keeps the traces if it is MLflow that receives them.
    """

    def __init__(self, settings: ServiceSettings, *, experiment: str) -> None:
        self._settings = settings
        self._experiment = experiment

    def start(self) -> None:
        """Start the thread that sends."""
        # It warns of a malformed `tracestate` with its content, which is the client's.
        logging.getLogger("opentelemetry.trace.span").setLevel(logging.ERROR)
        name = {SERVICE_NAME: self._settings.model_name}
        self._provider = TracerProvider(resource=Resource.create(name), shutdown_on_exit=False)
        # Above 2048 spans that wait, the oldest is dropped.
        self._provider.add_span_processor(BatchSpanProcessor(_Sender(self._settings, self._experiment)))
        self._tracer = self._provider.get_tracer("portfolio_shared")

    def close(self) -> None:
        """Send what waits, for at most `FLUSH_SECONDS`."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(FLUSH_SECONDS)

    def request(self, scope: Scope) -> RequestSpan:
        """Begin the span of a request: a child of what its header `traceparent` names, sampled if that was.

        A header that is malformed or repeated is ignored, as W3C Trace Context wants it.
        """
        carrier: dict[str, str] = {}
        for name, value in scope["headers"]:
            if name in (b"traceparent", b"tracestate"):
                key, text = name.decode(), value.decode("latin-1")
                carrier[key] = f"{carrier[key]},{text}" if key in carrier else text
        parent = _propagator.extract(carrier) if carrier else None
        method = {"http.request.method": scope["method"]}
        return RequestSpan(self._tracer.start_span(scope["method"], parent, SpanKind.SERVER, method))

    def computation(self, fn: Callable[[*Ts], T]) -> Callable[[*Ts], T]:
        """Return a function that computes the same in a span; of an error it says the type, not the message."""

        def computed(*args: *Ts) -> T:
            with self._tracer.start_as_current_span(
                "compute", record_exception=False, set_status_on_exception=False
            ) as span:
                try:
                    return fn(*args)
                except BaseException as error:
                    span.set_attribute("error.type", type(error).__qualname__)
                    raise

        return computed


class _Sender(SpanExporter):
    """Posts spans as OTLP over HTTP; called by one thread. What cannot be sent is dropped, which is said once."""

    def __init__(self, settings: ServiceSettings, experiment: str) -> None:
        self._address, self._tracking = settings.trace_uri, settings.tracking_uri.rstrip("/")
        self._experiment = experiment
        given = {name.lower(): value.get_secret_value() for name, value in settings.trace_headers.items()}
        self._headers = {"content-type": "application/x-protobuf", **given}
        self._of_experiment: dict[str, str] = {}
        self._client: httpx.Client | None = None
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, or say why they were not."""
        try:
            client = self._client = self._client or self._open()
            headers = self._headers | self._header_of_experiment(client)
            body = encode_spans(spans).SerializeToString()
            client.post(self._address, content=body, headers=headers).raise_for_status()
        except (httpx.HTTPError, NetworkSettingsError, ValueError, KeyError) as error:
            if not self._failing:
                reason = describe_failure(self._address, error)
                _log.error("traces are not sent to %s, and are dropped: %s", shown(self._address), reason)
            self._failing = True
            self._of_experiment = {}
            return SpanExportResult.FAILURE
        if self._failing:
            _log.info("traces are sent again")
        self._failing = False
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()

    @property
    def _is_mlflow(self) -> bool:
        return self._address.startswith(f"{self._tracking}/")

    def _open(self) -> httpx.Client:
        auth = mlflow_credentials() if self._is_mlflow else None
        return open_client(self._address, timeout=httpx.Timeout(FLUSH_SECONDS), auth=auth)

    def _header_of_experiment(self, client: httpx.Client) -> dict[str, str]:
        """Ask MLflow for the experiment that keeps the traces, if it is MLflow that they are sent to."""
        if self._is_mlflow and EXPERIMENT_HEADER not in self._headers and not self._of_experiment:
            asked = f"{self._tracking}/api/2.0/mlflow/experiments/get-by-name"
            answer = client.get(asked, params={"experiment_name": self._experiment}).raise_for_status()
            self._of_experiment = {EXPERIMENT_HEADER: answer.json()["experiment"]["experiment_id"]}
        return self._of_experiment
