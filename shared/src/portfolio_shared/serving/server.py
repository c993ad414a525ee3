"""Run a service: settings, one BLAS thread, then the app under uvicorn until a signal asks it to end."""

import asyncio
import gc
import importlib
import math
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import uvicorn
from fastapi import FastAPI

from portfolio_shared.serving.access import require_keys
from portfolio_shared.serving.connections import reserve_descriptors
from portfolio_shared.serving.logs import configure_logging
from portfolio_shared.serving.metrics import ServiceMetrics
from portfolio_shared.serving.protocol import BoundedProtocol
from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.serving.worker_metrics import Sums
from portfolio_shared.serving.workers import Worker, fork_workers

S = TypeVar("S", bound=ServiceSettings)

STARTUP_FAILURE = 3  # uvicorn's exit code
DRAIN_SECONDS = 5  # on top of the longest request, for its response to leave
TELL_SECONDS = 1  # between two times that a worker publishes its metrics
TAKEN = "{address} is taken or forbidden: stop what listens there, or name another --port\n"

ACCEPTS = 8
"""Connections that are accepted in a turn of the event loop."""
SWITCH_SECONDS = 0.0005
"""How long a thread computes while another one waits. The event loop waits once for each thing that it reads or sends:
with Python's 5 ms it is late by a second when threads compute batches and 200 clients are refused."""

# Each library reads its own variable once, while it is loaded.
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def serve(app_factory: str, settings: S) -> None:
    """Run a service from the command line; returns after SIGTERM or Ctrl-C.

    Parameters
    ----------
    app_factory
        ``"housing.serving.app:create_app"``: the function that makes the app from its settings. It is named, not
        passed, because its module may load NumPy, which must not happen before `limit_blas_threads`.
    """
    limit_blas_threads()
    worker = None
    if settings.workers > 1:  # first: threads that a library starts when it is loaded do not survive a fork
        configure_logging(settings.log_level)
        worker = forked(settings)
    app = load_app(app_factory, settings)
    app.state.factory = app_factory  # for a process that makes it anew
    run(app, settings, worker)


def load_app(app_factory: str, settings: S) -> FastAPI:
    """Return the app that the named function makes."""
    # FastAPI asks whether a class is one of pydantic 1 by loading that, 15 ms and 1.5 MB, and can do without.
    sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type]
    module, _, function = app_factory.partition(":")
    create_app: Callable[[S], FastAPI] = getattr(importlib.import_module(module), function)
    return create_app(settings)


def forked(settings: ServiceSettings) -> Worker:
    """Return in each of the workers of the settings; raises as `run` does where no worker could run."""
    reserve_descriptors(settings)
    require_keys(settings)
    try:
        return fork_workers(settings, drain_seconds=grace_seconds(settings) + DRAIN_SECONDS)
    except OSError:
        sys.stderr.write(TAKEN.format(address=f"{settings.host}:{settings.port}"))
        sys.exit(STARTUP_FAILURE)


def grace_seconds(settings: ServiceSettings) -> int:
    """Return how long requests in progress may take at the end."""
    return math.ceil(settings.request_timeout_seconds) + DRAIN_SECONDS


def run(app: FastAPI, settings: ServiceSettings, worker: Worker | None = None) -> None:
    """Run an app until SIGTERM or Ctrl-C, then finish the requests in progress and return.

    Parameters
    ----------
    worker
        Which one this is of several processes on the port.

    Raises
    ------
    SystemExit
        With 0 after SIGTERM, with `STARTUP_FAILURE` if the app or the port does not come up.
    ExposedError, KeysError
        If other machines could reach the service without a key, or the keys cannot be read.
    DescriptorsError
        If the system allows fewer open files than there may be connections.
    """
    reserve_descriptors(settings)
    configure_logging(settings.log_level)
    require_keys(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=grace_seconds(settings),
        reset_contextvars=True,  # what waits for its turn is not begun in the span of the request before it
    )
    sys.setswitchinterval(SWITCH_SECONDS)
    server = Server(config) if worker is None else WorkerServer(config, worker, app.state.metrics)
    # After a graceful end uvicorn raises the signal again, which would make the exit code that of a killed process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server.run(sockets=None if worker is None else [worker.socket()])
    except KeyboardInterrupt:
        return
    except SystemExit as end:
        if end.code == STARTUP_FAILURE:  # uvicorn has logged why, as JSON: this line is for a person at a terminal
            sys.stderr.write(TAKEN.format(address=f"{settings.host}:{settings.port}"))
        raise
    if not server.started:
        sys.exit(STARTUP_FAILURE)


class Server(uvicorn.Server):
    """A server that does not keep others waiting for what one turn of its event loop does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app; then listen often enough, and take all that there is by then from the collector.

        libuv accepts one connection of a listener in each turn of the loop: under load, 300 that come at once keep a
        probe of /healthz waiting for a second. The garbage collector would take 100 ms for modules and the model, each
        time, in which nobody is answered.
        """
        await super().startup(sockets)
        config, loop = self.config, asyncio.get_running_loop()
        made = partial(BoundedProtocol, config, self.server_state, self.lifespan.state)
        for listener in [listener for server in self.servers for listener in server.sockets]:
            for _ in range(ACCEPTS - 1):
                self.servers.append(await loop.create_server(made, sock=listener.dup(), backlog=config.backlog))
        gc.freeze()


class WorkerServer(Server):
    """The server of one of several workers: it shares its metrics with the others, and ends with their parent."""

    def __init__(self, config: uvicorn.Config, worker: Worker, metrics: ServiceMetrics) -> None:
        super().__init__(config)
        config.callback_notify, config.timeout_notify = self.tell, TELL_SECONDS
        self._worker = worker
        self._metrics, self._sums = metrics, Sums(metrics.shown, worker.shared, worker.number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, and let the parent know by the first metrics."""
        await super().startup(sockets)
        if self.started:
            self._metrics.shown = self._sums
            self._sums.publish()

    async def tell(self) -> None:
        """Publish the metrics, or end where the parent has gone."""
        self._sums.publish()
        if os.getppid() != self._worker.parent:
            self.should_exit = True


def limit_blas_threads() -> None:
    """Give linear algebra one thread, by the environment: call this before anything loads NumPy.

    A product of small matrices takes microseconds; the handshake between BLAS threads, on cores that other requests
    use, takes milliseconds and varies. Requests are the unit of parallelism here. Variables that are set already stay.

    Raises
    ------
    RuntimeError
        If NumPy is loaded and OPENBLAS_NUM_THREADS was not set: too late to have an effect.
    """
    if "numpy" in sys.modules and "OPENBLAS_NUM_THREADS" not in os.environ:
        raise RuntimeError(
            "NumPy is loaded before the number of its threads is set. Import modules that need it inside the function "
            "that makes the app, or set OPENBLAS_NUM_THREADS=1 in the environment."
        )
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
