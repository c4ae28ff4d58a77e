"""What every process has of HTTP: the private listener, problem documents, and an orderly start and stop."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import msgspec
import uvloop
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from filas.errors import SettingsError, StoreUnavailable
from filas.observability import logs
from filas.observability.loop_lag import watched_loop
from filas.observability.metrics import REGISTRY, STORE_UP
from filas.settings.process_settings import ProcessSettings, load
from filas.tracing import switch

log = logs.get_logger(__name__)

Check = Callable[[], str | None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STORES = frozenset({"redis", "postgres"})
_RETRY_AFTER_S = 5

PROBLEM_JSON = "application/problem+json"

KEEP_ALIVE_S = 75.0
"""How long a connection may stay without a further request: longer than load balancers keep theirs (60 s)."""


class Health:
    """Whether the process can do its work: named checks, each None when well or else the reason.

    A check must be quick and may not wait: it reports what the part already knows of itself.
    """

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._can_do_without: dict[str, Callable[[], bool]] = {}
        self.draining = False
        """Set when the process stops: it then says that it is not ready, so that nothing new is sent to it."""

    def add(self, name: str, check: Check, *, can_do_without: Callable[[], bool] | None = None) -> None:
        """Add a check; `redis` and `postgres` also set the metric filas_store_up.

        While `can_do_without` says so, a failing check leaves the process ready.
        """
        self._checks[name] = check
        if can_do_without is not None:
            self._can_do_without[name] = can_do_without

    def problems(self) -> dict[str, str]:
        """Every failing check with its reason; empty means ready."""
        found: dict[str, str] = {"process": "draining"} if self.draining else {}
        for name, check in self._checks.items():
            reason = check()
            spare = self._can_do_without.get(name)
            if reason is not None and not (spare is not None and spare()):
                found[name] = reason
            if name in _STORES:
                STORE_UP.labels(name).set(reason is None)
        return found


# ---- answers ---------------------------------------------------------------------------------------


def json_response(
    value: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> web.Response:
    """An answer with `value` as JSON, as msgspec encodes it."""
    return web.Response(body=msgspec.json.encode(value), status=status, headers=headers, content_type=content_type)


def problem(
    status: int, title: str, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **extra: Any
) -> web.Response:
    """An RFC 9457 problem document. `extra` members stand beside `title` and `detail`, named as given."""
    body = problem_document(status, title, detail, **extra)
    return web.Response(body=body, status=status, headers=headers, content_type=PROBLEM_JSON)


def problem_document(status: int, title: str, detail: str | None = None, **extra: Any) -> bytes:
    """The body of `problem`."""
    document: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    if detail is not None:
        document["detail"] = detail
    return msgspec.json.encode(document | extra)


@web.middleware
async def problem_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure as a problem document: what aiohttp refuses (404, 405, 413), a store away (503), a bug (500)."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kept = {
            name: error.headers[name] for name in ("Allow", "Retry-After", "WWW-Authenticate") if name in error.headers
        }
        detail = error.text if error.text and not error.text.startswith(f"{error.status}:") else None
        return problem(error.status, error.reason, detail, headers=kept)
    except StoreUnavailable as error:
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "A store is away",
            f"{error.store} can't be used at present",
            headers={"Retry-After": str(_RETRY_AFTER_S)},
        )
    except Exception as error:  # the last resort: the caller gets an answer, the log the reason
        log.error("web.handler_failed", method=request.method, path=request.path, exc_info=error)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error", "The log of this process says more")


# ---- the private listener --------------------------------------------------------------------------


def build_private_app(
    health: Health,
    routes: Iterable[web.AbstractRouteDef] = (),
    *,
    middlewares: Sequence[Any] = (),
    client_max_size: int = 2 * 1024 * 1024,
) -> web.Application:
    """The app of a private listener: `/livez`, `/readyz`, `/metrics`, and `routes`.

    `middlewares` run inside `problem_middleware`. `client_max_size` is the most bytes that a body may have.
    """

    async def livez(_request: web.Request) -> web.Response:
        return json_response({"status": "alive"})

    async def readyz(_request: web.Request) -> web.Response:
        problems = health.problems()
        if problems:
            return json_response({"status": "unready", "problems": problems}, HTTPStatus.SERVICE_UNAVAILABLE)
        return json_response({"status": "ready"})

    async def metrics(_request: web.Request) -> web.Response:
        health.problems()  # sets filas_store_up to what holds now
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(middlewares=[problem_middleware, *middlewares], client_max_size=client_max_size)
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    app.add_routes(routes)
    app.cleanup_ctx.append(watched_loop)
    return app


class ConnectionServer(Protocol):
    """Makes the protocol of each connection, and ends them all."""

    def __call__(self) -> asyncio.BaseProtocol: ...

    async def shutdown(self, timeout_s: float) -> None:
        """Let what was asked be answered for as long as `timeout_s`, and end all connections."""


@asynccontextmanager
async def serve_connections(
    server: ConnectionServer, host: str, port: int, *, backlog: int = 1024, shutdown_s: float = 10.0
) -> AsyncIterator[int]:
    """As `serve_app`, for a server that speaks its protocol itself."""
    listening = await asyncio.get_running_loop().create_server(server, host, port, backlog=backlog)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await server.shutdown(shutdown_s)


@asynccontextmanager
async def serve_app(
    app: web.Application, host: str, port: int, *, backlog: int = 1024, shutdown_s: float = 10.0
) -> AsyncIterator[int]:
    """Serve `app` while the block runs; gives the port, which the system has chosen when `port` is 0.

    On leaving, no new connection is taken and requests under way have `shutdown_s` seconds to end.
    Raises OSError when the address can't be used.
    """
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=shutdown_s)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=backlog, reuse_port=False)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


# ---- a process -------------------------------------------------------------------------------------


SettingsType = TypeVar("SettingsType", bound=ProcessSettings)
Service = Callable[[SettingsType, asyncio.Event], Awaitable[None]]
"""A process: gets its settings and the event that asks it to stop; returns when it has stopped in good order."""


def run_service(
    name: str, settings_type: type[SettingsType], service: Service[SettingsType], environ: Mapping[str, str]
) -> int:
    """Run one process until SIGTERM or SIGINT; gives the exit code for `sys.exit`.

    0: stopped in good order. 1: it failed, as the log says. 2: a setting is wrong; one line on standard error
    names its variable. A second signal ends it without waiting for work under way.
    """
    try:
        settings = load(settings_type, environ)
        switch.on(settings.tracing, name)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure(settings.logs.log_level, settings.logs.log_format, name)
    try:
        return _run(name, settings, service)
    finally:
        switch.off()


def _run(name: str, settings: SettingsType, service: Service[SettingsType]) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_until_stopped(name, settings, service))
        except asyncio.CancelledError:
            log.warning("process.interrupted")
            return 1
        except OSError as error:
            log.error("process.failed", error=str(error))
            return 1
        except Exception as error:
            log.error("process.failed", exc_info=error)
            return 1
    return 0


async def _until_stopped(name: str, settings: SettingsType, service: Service[SettingsType]) -> None:
    stop = asyncio.Event()
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    log.info("process.started", process=name)
    await service(settings, stop)
    log.info("process.stopped", process=name)
