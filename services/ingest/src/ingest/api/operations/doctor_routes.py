"""How everything is that this process can see, and what to do about what is not well, in words."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final

import msgspec

from filas.contract.policies import QueuePolicy
from filas.errors import StoreUnavailable
from filas.queue.worker_presence import read_load
from ingest.api.operations.scaling_routes import WORKERS
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.route_types import Answer, Call, Query, Route

LATE_S: Final = 60.0
"""A job that has waited longer than this is told as a trouble."""

DEAD_LETTERS_WITHIN: Final = timedelta(hours=24)


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How one part is: `well`, or what is wrong with it and what to do, in one sentence."""

    part: str
    well: bool
    words: str


class DoctorView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every part, in the order in which one would repair them; `well`: all of them are."""

    well: bool
    findings: list[Finding]
    timestamp: str


async def doctor(call: Call[None, Query]) -> Answer:
    """Ask the stores, the queues and their workers how they are. A store that is away is a finding, not an error."""
    context = call.context
    parts: list[tuple[str, Callable[[], Awaitable[Finding]]]] = [
        ("redis", lambda: _redis(context)),
        ("postgres", lambda: _postgres(context)),
        ("webhooks", lambda: _webhooks(context)),
        *((f"queue {policy.name}", _asks(context, worker, policy)) for worker, policy in WORKERS.items()),
        ("dead letters", lambda: _dead_letters(context)),
    ]
    findings = await asyncio.gather(*(_found(part, ask) for part, ask in parts))
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Answer(DoctorView(well=all(one.well for one in findings), findings=findings, timestamp=now))


async def _found(part: str, ask: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        return await ask()
    except StoreUnavailable as error:
        words = error.reason if part == error.store else f"can't be asked while {error.store} is away"
        return Finding(part=part, well=False, words=words)


async def _redis(context: ApiContext) -> Finding:
    begun = perf_counter()
    await context.redis.command("PING")
    took = _milliseconds(begun)
    troubles = [] if context.redis.cluster else _unsafe(await context.redis.command("INFO"))
    words = "; ".join([f"answers in {took} ms", *troubles])
    return Finding(part="redis", well=not troubles, words=words)


def _unsafe(info: dict[str, Any]) -> list[str]:
    """How this Redis may lose what it has taken. What it doesn't tell is no trouble."""
    troubles = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and info.get("maxmemory", 0):
        troubles.append(f"when its memory is full it drops jobs (maxmemory-policy {policy}): set noeviction")
    if not info.get("aof_enabled", 1):
        troubles.append("its append-only file is off: what it took while Postgres was away, a crash would lose")
    if info.get("aof_last_write_status", "ok") != "ok":
        troubles.append("it can't write its append-only file: is its disk full?")
    return troubles


async def _postgres(context: ApiContext) -> Finding:
    begun = perf_counter()
    await context.pauses.all()
    return Finding(part="postgres", well=True, words=f"answers in {_milliseconds(begun)} ms")


async def _webhooks(context: ApiContext) -> Finding:
    loaded = context.webhook_cache.is_loaded
    words = "their definitions are at hand" if loaded else "their definitions have not been read yet"
    return Finding(part="webhooks", well=loaded, words=words)


def _asks(context: ApiContext, worker: str, policy: QueuePolicy) -> Callable[[], Awaitable[Finding]]:
    return lambda: _queue(context, worker, policy)


async def _queue(context: ApiContext, worker: str, policy: QueuePolicy) -> Finding:
    paused = policy.name in await context.pauses.all()
    counts = await context.stats.snapshot(policy)
    present = await read_load(context.redis, policy)
    late_s = counts.oldest_waiting_ms / 1000
    waiting = "1 job waits" if counts.waiting == 1 else f"{counts.waiting} jobs wait"
    if counts.waiting:
        waiting += f", the oldest for {late_s:.0f} s"
    trouble = None
    if paused:
        trouble = f"it is paused: POST /api/queue/{policy.short}/resume lets its workers go on"
    elif not present.workers:
        trouble = f"no {worker} is there: start one"
    elif late_s > LATE_S:
        trouble = f"{present.workers} of {worker} are too few or too slow: see /api/scaling"
    well = f"{present.workers} of {worker}, busy by {present.running / max(present.slots, 1):.0%}"
    return Finding(part=f"queue {policy.name}", well=trouble is None, words=f"{waiting}; {trouble or well}")


async def _dead_letters(context: ApiContext) -> Finding:
    """Told, and no trouble by themselves: one contact's wrong number is a dead letter too."""
    count = await context.dead_letters.count_open(datetime.now(UTC) - DEAD_LETTERS_WITHIN)
    words = f"{count} in the last 24 hours that have not been put back"
    return Finding(part="dead letters", well=True, words=words)


def _milliseconds(begun: float) -> str:
    return f"{(perf_counter() - begun) * 1000:.1f}"


ROUTES: tuple[Route[None, Query], ...] = (
    Route(
        method="GET",
        path="/doctor",
        handler=doctor,
        role="viewer",
        summary="How the stores, the queues and their workers are, and what to do about what is not well.",
        answer=DoctorView,
        query=Query,
    ),
)
