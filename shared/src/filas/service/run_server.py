"""The composition that all processes with an API or a public listener share: stores, listeners, background tasks,
drain."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from filas.service.garbage_collection import collect_rarely, release_memory
from filas.service.health import Health
from filas.service.private_listener import build_private_app, serve_app
from filas.service.stores import DEFAULT_POOL, PoolLimits, Stores, open_stores
from filas.settings.process_settings import ProcessSettings


async def _nothing() -> None:
    """The default of the steps of ServerParts."""


def _no_routes(_app: web.Application) -> None:
    """The default of ServerParts.add_routes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerParts:
    """What a server process runs.

    | field | meaning |
    |---|---|
    | `health` | the checks of `/readyz` |
    | `add_routes` | adds routes to the private listener |
    | `listener` | another listener, which is open from the start until `before_close` has returned |
    | `background` | run until `drain` has returned; if one fails, the process ends with that error |
    | `before_close` | awaited after `stop`, while the listeners still accept requests |
    | `drain` | awaited after the listeners were closed |
    """

    health: Health
    add_routes: Callable[[web.Application], None] = _no_routes
    listener: AbstractAsyncContextManager[Any] | None = None
    background: Sequence[Coroutine[Any, Any, None]] = ()
    before_close: Callable[[], Awaitable[None]] = _nothing
    drain: Callable[[], Awaitable[None]] = _nothing


async def run_server(
    settings: ProcessSettings,
    stop: asyncio.Event,
    *,
    name: str,
    admin_port: int,
    compose: Callable[[Stores], ServerParts],
    pool: PoolLimits = DEFAULT_POOL,
) -> None:
    """Runs a server process until `stop` is set and its accepted work has been written.

    `name` is the process's application name in Postgres. `compose` builds the parts over open stores, in the running
    event loop. The process starts while stores are unavailable; `/readyz` on `admin_port` reports them.
    """
    collect_rarely()
    async with open_stores(settings, name, pool) as stores:
        parts = compose(stores)
        app = build_private_app(parts.health, hosts=settings.admin.accepted_names)
        parts.add_routes(app)
        async with _running(*parts.background, stores.probe(), release_memory()):
            async with AsyncExitStack() as listeners:
                await listeners.enter_async_context(serve_app(app, settings.admin.admin_host, admin_port))
                if parts.listener is not None:
                    await listeners.enter_async_context(parts.listener)
                await stop.wait()
                parts.health.draining = True
                await parts.before_close()
            await parts.drain()


@asynccontextmanager
async def _running(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs the coroutines while the block runs. If one fails, the block is cancelled and the error is raised."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in coroutines]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
