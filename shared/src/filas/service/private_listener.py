"""The private listener of a process: `/livez`, `/readyz`, `/metrics`, and the routes that the process adds."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final, Protocol

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from filas.observability.loop_lag import watched_loop
from filas.observability.metrics import REGISTRY
from filas.service.health import Health
from filas.service.host_check import make_host_check
from filas.service.problem_documents import json_response, problem_middleware

KEEP_ALIVE_S: Final = 75.0
"""How long an idle connection stays open: longer than load balancers keep theirs (60 s)."""

LOOPBACK_NAMES: Final = frozenset({"localhost"})


def build_private_app(
    health: Health,
    routes: Iterable[web.AbstractRouteDef] = (),
    *,
    hosts: Collection[str] = LOOPBACK_NAMES,
    middlewares: Sequence[Any] = (),
    client_max_size: int = 2 * 1024 * 1024,
) -> web.Application:
    """Returns the aiohttp application of a private listener.

    A request whose `Host` names another host than `hosts` is answered 421. `middlewares` run inside
    `problem_middleware`. A body may have at most `client_max_size` bytes.
    """

    async def livez(_request: web.Request) -> web.Response:
        return json_response({"status": "alive"})

    async def readyz(_request: web.Request) -> web.Response:
        problems, circuits = health.problems(), health.circuits()
        shown = {"circuits": circuits} if circuits else {}
        if problems:
            return json_response({"status": "unready", "problems": problems, **shown}, HTTPStatus.SERVICE_UNAVAILABLE)
        return json_response({"status": "ready", **shown})

    async def metrics(_request: web.Request) -> web.Response:
        health.problems()  # sets filas_store_up to the present state
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    guards = [problem_middleware, make_host_check(hosts)]
    app = web.Application(middlewares=[*guards, *middlewares], client_max_size=client_max_size)
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    app.add_routes(routes)
    app.cleanup_ctx.append(watched_loop)
    return app


class ConnectionServer(Protocol):
    """Creates the protocol object of each connection, and ends all connections."""

    def __call__(self) -> asyncio.BaseProtocol: ...

    async def shutdown(self, timeout_s: float, /) -> None:
        """Waits up to `timeout_s` seconds for requests under way, then closes all connections."""


@asynccontextmanager
async def serve_connections(
    server: ConnectionServer, host: str, port: int, *, backlog: int = 1024, shutdown_s: float = 10.0
) -> AsyncIterator[int]:
    """Like `serve_app`, for a server that implements the protocol itself."""
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
    """Serves `app` while the block runs. Yields the port, which the system chooses if `port` is 0.

    At the end, the listener accepts no new connection, and requests under way get `shutdown_s` seconds to finish.
    Raises OSError if the address cannot be used.
    """
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=shutdown_s)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=backlog, reuse_port=False)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
