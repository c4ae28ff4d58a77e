"""The composition that all worker processes share: stores, private listener, worker, background tasks, drain."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from filas.queue.worker.worker import Worker
from filas.service.garbage_collection import collect_rarely, release_memory
from filas.service.health import Health
from filas.service.private_listener import build_private_app, serve_app
from filas.service.stores import Stores, open_stores
from filas.settings.process_settings import ProcessSettings


async def _nothing_to_drain() -> None:
    """The default of WorkerParts.drain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What a worker process runs.

    The `background` tasks run until the worker has drained and `drain` has returned. If one of them fails, the process
    ends with that error, and its supervisor starts it again.
    """

    worker: Worker
    background: Sequence[Coroutine[Any, Any, None]] = ()
    drain: Callable[[], Awaitable[None]] = _nothing_to_drain


Compose = Callable[[Stores, Health, AsyncExitStack], Awaitable[WorkerParts]]
"""Builds the parts over open stores. What must be closed at the end is entered into the stack."""


async def run_worker(
    settings: ProcessSettings, stop: asyncio.Event, *, name: str, admin_port: int, compose: Compose
) -> None:
    """Runs a worker process until `stop` is set and its work under way has been written.

    `name` is the process's application name in Postgres. The process starts while stores are unavailable; `/readyz` on
    `admin_port` reports them.
    """
    collect_rarely()
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings, name))
        health = Health()
        health.add_stores(stores)
        parts = await compose(stores, health, stack)
        app = build_private_app(health, hosts=settings.admin.accepted_names)
        await stack.enter_async_context(serve_app(app, settings.admin.admin_host, admin_port))
        await _run_until_drained(parts, stores, health, stop)


async def _run_until_drained(parts: WorkerParts, stores: Stores, health: Health, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        background = [group.create_task(part) for part in (*parts.background, stores.probe(), release_memory())]
        worker = group.create_task(parts.worker.run())
        stopping = group.create_task(_wait_for(stop))
        await asyncio.wait([worker, stopping], return_when=asyncio.FIRST_COMPLETED)
        health.draining = True
        parts.worker.stop()
        await worker
        await parts.drain()
        for task in (*background, stopping):
            task.cancel()


async def _wait_for(event: asyncio.Event) -> None:
    await event.wait()
