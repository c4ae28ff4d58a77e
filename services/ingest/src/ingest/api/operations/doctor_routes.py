"""The route of the doctor: the state of the stores, the queues and their workers, and the remedy of each failure."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final

import msgspec

from filas.contract.policies import QueuePolicy
from filas.errors import StoreUnavailable
from filas.queue.operations.newer_version_waiting import read_newer_version_waiting
from filas.queue.worker_presence import QueueLoad, read_load
from ingest.api.operations.scaling_routes import WORKERS
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.route_types import Answer, Call, Query, Route
from ingest.receive.untrusted_proxies import read_untrusted_proxy

MAX_WAIT_S: Final = 60.0
"""A queue whose oldest job waits longer is a failure."""

MAX_NAMED: Final = 10
"""The most definitions that one finding names."""

DEAD_LETTERS_WITHIN: Final = timedelta(hours=24)


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The state of one part. If `ok` is false, `detail` is what is wrong and what to do."""

    part: str
    ok: bool
    detail: str


class DoctorView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every part, in the order in which an operator repairs them. `ok`: every part is OK."""

    ok: bool
    findings: list[Finding]
    timestamp: str


async def doctor(call: Call[None, Query]) -> Answer:
    """Checks the stores, the queues and their workers. An unavailable store is a finding, not an error."""
    context = call.context
    checks: list[tuple[str, Callable[[], Awaitable[Finding]]]] = [
        ("redis", lambda: _redis(context)),
        ("postgres", lambda: _postgres(context)),
        ("webhooks", lambda: _webhooks(context)),
        ("secrets", lambda: _secrets(context)),
        ("proxies", lambda: _proxies(context)),
        *((f"queue {policy.name}", _queue_check(context, worker, policy)) for worker, policy in WORKERS.items()),
        ("versions", lambda: _versions(context)),
        ("dead letters", lambda: _dead_letters(context)),
    ]
    findings = await asyncio.gather(*(_checked(part, check) for part, check in checks))
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Answer(DoctorView(ok=all(one.ok for one in findings), findings=findings, timestamp=now))


async def _checked(part: str, check: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        return await check()
    except StoreUnavailable as error:
        detail = error.reason if part == error.store else f"unknown while {error.store} is unavailable"
        return Finding(part=part, ok=False, detail=detail)


async def _redis(context: ApiContext) -> Finding:
    start = perf_counter()
    await context.redis.command("PING")
    took = _milliseconds_since(start)
    risks = [] if context.redis.cluster else _risks(await context.redis.command("INFO"))
    return Finding(part="redis", ok=not risks, detail="; ".join([f"answers in {took} ms", *risks]))


def _risks(info: dict[str, Any]) -> list[str]:
    """Returns the settings with which this Redis may lose jobs. A missing value is no risk."""
    risks = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and info.get("maxmemory", 0):
        risks.append(f"maxmemory-policy {policy} drops jobs when the memory is full: set noeviction")
    if not info.get("aof_enabled", 1):
        risks.append("appendonly is off: a crash loses events that were accepted while Postgres was unavailable")
    if info.get("aof_last_write_status", "ok") != "ok":
        risks.append("the append-only file cannot be written: check the disk space")
    return risks


async def _postgres(context: ApiContext) -> Finding:
    start = perf_counter()
    await context.pauses.all()
    await context.history.pauses.all()
    return Finding(part="postgres", ok=True, detail=f"answers in {_milliseconds_since(start)} ms")


async def _webhooks(context: ApiContext) -> Finding:
    loaded = context.webhook_cache.is_loaded
    detail = "definitions loaded" if loaded else "definitions not loaded yet"
    return Finding(part="webhooks", ok=loaded, detail=detail)


async def _secrets(context: ApiContext) -> Finding:
    """A definition stored before SECRET_ENV_ALLOW existed, or under another one, may name any variable."""
    refused = [
        f"{one.kind} {one.id}: {refusal}"
        for one in await context.secret_references.all()
        if (refusal := context.secret_box.variables.refusal(one.variable)) is not None
    ]
    if not refused:
        return Finding(part="secrets", ok=True, detail="every named environment variable is allowed")
    more = [f"and {len(refused) - MAX_NAMED} more"] if len(refused) > MAX_NAMED else []
    remedy = "rename the variable, or allow it in each process, and store the definition again"
    return Finding(part="secrets", ok=False, detail="; ".join([*refused[:MAX_NAMED], *more, remedy]))


async def _proxies(context: ApiContext) -> Finding:
    proxy = await read_untrusted_proxy(context.redis)
    if proxy is None:
        return Finding(part="proxies", ok=True, detail="no requests through a proxy that is not in TRUSTED_PROXIES")
    detail = (
        f"requests with X-Forwarded-For or Forwarded come from {proxy}, which TRUSTED_PROXIES does not list: all their "
        "senders count as one address; if it is your proxy, list its network"
    )
    return Finding(part="proxies", ok=False, detail=detail)


def _queue_check(context: ApiContext, worker: str, policy: QueuePolicy) -> Callable[[], Awaitable[Finding]]:
    return lambda: _queue(context, worker, policy)


async def _queue(context: ApiContext, worker: str, policy: QueuePolicy) -> Finding:
    paused = await _is_paused(context, policy)
    counts = await context.stats.snapshot(policy)
    load = await read_load(context.redis, policy)
    oldest_s = counts.oldest_waiting_ms / 1000
    waiting = "1 job waiting" if counts.waiting == 1 else f"{counts.waiting} jobs waiting"
    if counts.waiting:
        waiting += f", the oldest for {oldest_s:.0f} s"
    failure = None
    if isinstance(paused, str):
        failure = f"{_count(worker, load)}; {paused}"
    elif paused:
        failure = f"paused: POST /api/queue/{policy.short}/resume resumes it"
    elif not load.workers:
        failure = f"no {worker} is running: start one"
    elif oldest_s > MAX_WAIT_S:
        failure = f"{_count(worker, load)}, too few or too slow: see /api/scaling"
    detail = f"{waiting}; {failure or _count(worker, load)}"
    return Finding(part=f"queue {policy.name}", ok=failure is None, detail=detail)


async def _is_paused(context: ApiContext, policy: QueuePolicy) -> bool | str:
    """Whether the queue is paused, or why that is not known. The other figures of a queue are in Redis."""
    try:
        return policy.name in await context.pauses.all()
    except StoreUnavailable as error:
        return f"whether it is paused is unknown while {error.store} is unavailable"


def _count(worker: str, load: QueueLoad) -> str:
    """Returns the number of workers with their load, such as "1 flow-runner, 0 % busy"."""
    return f"{load.workers} {worker}, {100 * load.running / max(load.slots, 1):.0f} % busy"


async def _versions(context: ApiContext) -> Finding:
    """Jobs that no running worker knows. During a rolling upgrade, some may wait for the first newer worker."""
    found = {policy.name: await read_newer_version_waiting(context.redis, policy) for policy in WORKERS.values()}
    waits = [
        f"{one.jobs} jobs of {queue} wait for a newer worker for up to {one.longest_s:.0f} s: {', '.join(one.examples)}"
        for queue, one in found.items()
        if one is not None
    ]
    if not waits:
        return Finding(part="versions", ok=True, detail="no job waits for a newer version")
    remedy = "start workers of the version that made them; they become dead letters after a day"
    return Finding(part="versions", ok=False, detail="; ".join([*waits, remedy]))


async def _dead_letters(context: ApiContext) -> Finding:
    """A dead letter alone is no failure: a single wrong phone number makes one."""
    count = await context.history.dead_letters.count_open(datetime.now(UTC) - DEAD_LETTERS_WITHIN)
    detail = f"{count} in the last 24 hours that have not been replayed"
    return Finding(part="dead letters", ok=True, detail=detail)


def _milliseconds_since(start: float) -> str:
    return f"{(perf_counter() - start) * 1000:.1f}"


ROUTES: tuple[Route[None, Query], ...] = (
    Route(
        method="GET",
        path="/doctor",
        handler=doctor,
        role="viewer",
        summary="The state of the stores, the queues and their workers, and the remedy of each failure.",
        answer=DoctorView,
        query=Query,
    ),
)
