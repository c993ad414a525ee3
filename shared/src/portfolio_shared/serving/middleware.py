"""One ASGI middleware for what every request passes: id, limits, headers, log line, metrics, span, last resort.

Written here because four packages (request ids, metrics, JSON logs, problems) would wrap each request four times; one
pass costs less than a route without parameters (`make bench-serving`).
"""

import logging
import time
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from portfolio_shared.serving.access import Access
from portfolio_shared.serving.admission import Admission, is_prediction
from portfolio_shared.serving.exchange import FEEDBACK_PATH, Exchange
from portfolio_shared.serving.logs import log_request
from portfolio_shared.serving.metrics import ServiceMetrics
from portfolio_shared.serving.prediction_log import PredictionLog, Waiting, hashed_subject
from portfolio_shared.serving.problems import ProblemError
from portfolio_shared.serving.routes import RouteTable
from portfolio_shared.serving.settings import ServiceSettings

if TYPE_CHECKING:  # of no use to a service without traces or shadow, and the first loads OpenTelemetry
    from portfolio_shared.serving.shadow import Shadow
    from portfolio_shared.serving.tracing import Tracing

_log = logging.getLogger(__name__)

HTTP_OK = 200
CLIENT_CLOSED_REQUEST = 499  # nginx's code, for logs and metrics only: nobody is left to read a response


class ServiceMiddleware:
    """One pure ASGI middleware instead of one for each concern: a request is wrapped once.

    Starlette's BaseHTTPMiddleware is not used, because it runs each request in a task and a stream of its own, which
    costs more than everything here together.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: ServiceSettings,
        metrics: ServiceMetrics,
        table: RouteTable,
        log: PredictionLog | None,
        admission: Admission,
        access: Access,
        tracing: "Tracing | None" = None,
        shadow: "Shadow | None" = None,
    ) -> None:
        self._app = app
        self._log = log
        self._shadow = shadow
        self._tracing = tracing
        self._subject_key = settings.subject_key.get_secret_value()
        self._settings = settings
        self._access = access
        self._admission = admission
        self._metrics = metrics
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and account for it whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, self._settings)
        if self._tracing is not None and exchange.path.startswith("/v1/"):  # no probe, scrape or page
            exchange.span = self._tracing.request(scope)
        state = exchange.scope.setdefault("state", {})
        state["request_id"], state["subject"] = exchange.request_id, exchange.subject
        self._metrics.in_flight += 1
        try:
            await self._answer(exchange)
        finally:
            self._metrics.in_flight -= 1
            self._account(exchange)

    async def _answer(self, exchange: "Exchange") -> None:
        if (refusal := exchange.scope["state"].get("refusal")) is not None:  # of the protocol
            await exchange.respond(refusal)
            return
        feedback = exchange.path == FEEDBACK_PATH
        counted = is_prediction(exchange.method, exchange.path)
        try:
            with self._admission.place(exchange.scope, counted=counted, feedback=feedback):
                self._access.check(exchange.scope)
                exchange.refuse_large_body()
                if counted and self._shadow is not None:
                    exchange.body = self._shadow.new_body()
                app = self._table.direct(exchange.scope) or self._app
                await app(exchange.scope, exchange.unpacked(), exchange.send)
        except ProblemError as problem:
            await exchange.respond(problem)
        except Exception:
            if exchange.cut_off:
                return  # a route that reads its body itself has learned that the client has gone
            _log.exception("unexpected error", extra={"fields": {"request_id": exchange.request_id}})
            if exchange.status is not None:
                raise  # half a response is out: only closing the connection tells the client
            detail = f"The service failed. Its log has the reason under the request id {exchange.request_id}."
            await exchange.respond(ProblemError(500, detail))

    def _account(self, exchange: "Exchange") -> None:
        route = self._table.template(exchange.scope)
        method = exchange.method
        seconds = time.perf_counter() - exchange.started
        status = CLIENT_CLOSED_REQUEST if exchange.cut_off else exchange.status or 500
        state = exchange.scope["state"]
        version, items = state.get("predicted", ("", 0))
        self._metrics.observe(route=route, method=method, status=status, version=version, seconds=seconds)
        if (observe := state.get("canary")) is not None:  # the answer is one of two models'
            observe(status, state)
        ids = {"request_id": exchange.request_id}
        if "client" in state:  # whose key it was
            ids["client"] = state["client"]
        if status == HTTP_OK and items:
            ids["prediction_id"] = state["answer_id"]
            if self._log is not None:
                asked, answered = state.get("logged_bodies") or (state["body"], b"".join(exchange.response))
                self._log.add(
                    Waiting(
                        id=state["answer_id"],
                        at=time.time(),
                        version=version,
                        route=route,
                        subject=hashed_subject(exchange.subject, self._subject_key),
                        items=items,
                        milliseconds=seconds * 1000,
                        request=asked,
                        response=answered,
                    )
                )
            if self._shadow is not None and exchange.body is not None:
                self._shadow.add(exchange.body, exchange.scope, path=exchange.path, version=version)
        if exchange.body is not None:
            exchange.body.drop()
        if exchange.span is not None:
            exchange.span.end(method=method, route=route, status=status, version=version, ids=ids)
            ids["trace_id"] = exchange.span.trace_id
        log_request(ids, method=method, route=route, status=status, seconds=seconds)
