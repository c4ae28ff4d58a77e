"""Runs all checks at the same time, within a time limit that holds whatever is frozen."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

from filas.contract.policies import QUEUES
from filas.doctor.channel_checks import check_channels
from filas.doctor.postgres_checks import check_clocks, check_postgres, check_versions
from filas.doctor.queue_checks import check_queue
from filas.doctor.receiving_checks import check_refusals, check_schedules, check_webhooks
from filas.doctor.redis_checks import check_redis
from filas.doctor.search_checks import check_search
from filas.doctor.sentences import finding, sentence
from filas.doctor.stores import Checked, DoctorStores
from filas.doctor.work_checks import check_dead_letters, check_failures, check_unqueued, check_waits
from filas.errors import StoreUnavailable
from filas.models.findings import Examination, Finding, Part, Subject

MAX_S: Final = 2.5
"""How long one check may take, in seconds. All run at the same time."""

Check = Callable[[], Awaitable[Checked]]
_RANK: Final = {"critical": 0, "warning": 1, "info": 2}
_STORES: Final = {"redis": Subject(kind="redis"), "postgres": Subject(kind="postgres")}

NO_CHECKS: Final[Mapping[str, Check]] = {}


async def examine(stores: DoctorStores, more: Mapping[str, Check] = NO_CHECKS) -> Examination:
    """Examines everything. `more` are checks of the calling process, by the name of their part.

    A store that is unavailable is one finding; the parts that need it are unknown.
    """
    checks: dict[str, Check] = {
        "redis": partial(check_redis, stores),
        "postgres": partial(check_postgres, stores),
        "clocks": partial(check_clocks, stores),
        "versions": partial(check_versions, stores),
        "search index": partial(check_search, stores),
        **more,
        "webhooks": partial(check_webhooks, stores),
        "refusals": partial(check_refusals, stores),
        "schedules": partial(check_schedules, stores),
        **{f"queue {policy.name}": partial(check_queue, stores, policy) for policy in QUEUES},
        "accepted work": partial(check_unqueued, stores),
        "executions": partial(check_failures, stores),
        "waits": partial(check_waits, stores),
        "channels": partial(check_channels, stores),
        "dead letters": partial(check_dead_letters, stores),
    }
    answers = await asyncio.gather(*(_run(name, check) for name, check in checks.items()))
    unavailable = {one.store: one for one in answers if isinstance(one, StoreUnavailable)}
    findings = [_unavailable(error) for error in unavailable.values()]
    parts = []
    for name, answer in zip(checks, answers, strict=True):
        if isinstance(answer, StoreUnavailable):
            detail = answer.reason if name == answer.store else f"unknown while {answer.store} is unavailable"
            parts.append(Part(part=name, ok=False, detail=detail))
        else:
            findings += answer.findings
            is_ok = all(one.severity == "info" for one in answer.findings)
            parts.append(Part(part=name, ok=is_ok, detail=answer.detail))
    findings.sort(key=lambda one: (_RANK[one.severity], one.code, one.subject.id))
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Examination(ok=all(one.ok for one in parts), findings=findings, parts=parts, timestamp=now)


async def _run(name: str, check: Check) -> Checked | StoreUnavailable:
    try:
        async with asyncio.timeout(MAX_S):
            return await check()
    except StoreUnavailable as error:
        return error
    except TimeoutError:
        message = sentence("doctor.check-too-slow", part=name, seconds=MAX_S)
        subject = _STORES.get(name, Subject(kind="process", id="ingest-admin"))
        found = finding("check-too-slow", "warning", subject, message, sentence("doctor.check-too-slow-remedy"))
        return Checked(f"no answer within {MAX_S:g} s", [found])


def _unavailable(error: StoreUnavailable) -> Finding:
    return finding(
        f"{error.store}-unavailable",
        "critical",
        _STORES.get(error.store, Subject(kind="process")),
        sentence("doctor.unavailable", store=error.store, reason=error.reason),
        sentence("doctor.unavailable-remedy", store=error.store),
    )
