"""Checks Redis: whether it answers, and whether it can lose jobs."""

import re
from time import perf_counter
from typing import Any, Final

from filas.doctor.sentences import Sentence, finding, sentence
from filas.doctor.stores import Checked, DoctorStores
from filas.models.findings import Finding, Severity, Subject

OLDEST_VERSION: Final = (6, 2)
FULL_SHARE: Final = 0.8
REDIS: Final = Subject(kind="redis")


async def check_redis(stores: DoctorStores) -> Checked:
    """Raises StoreUnavailable."""
    start = perf_counter()
    await stores.redis.command("PING")
    checked = Checked(f"answers in {(perf_counter() - start) * 1000:.1f} ms")
    if not stores.redis.cluster:
        checked.findings += _risks(await stores.redis.command("INFO"))
    return checked


def _risks(info: dict[str, Any]) -> list[Finding]:
    """What this server reports about itself. A value that is missing is no risk."""
    found = []
    policy, limit, used = (
        info.get("maxmemory_policy", "noeviction"),
        info.get("maxmemory", 0),
        info.get("used_memory", 0),
    )
    if policy != "noeviction" and limit:
        message = sentence("doctor.redis-evicts", policy=policy)
        remedy = sentence("doctor.redis-evicts-remedy")
        found.append(_finding("redis-evicts", "critical", message, remedy, policy=policy, limitBytes=limit))
    if limit and used > FULL_SHARE * limit:
        message = sentence("doctor.redis-memory", share=100 * used / limit)
        remedy = sentence("doctor.redis-memory-remedy")
        found.append(_finding("redis-memory", "warning", message, remedy, usedBytes=used, limitBytes=limit))
    if not info.get("aof_enabled", 1):
        message = sentence("doctor.redis-no-append-only-file")
        remedy = sentence("doctor.redis-no-append-only-file-remedy")
        found.append(_finding("redis-no-append-only-file", "warning", message, remedy))
    status = info.get("aof_last_write_status", "ok")
    if status != "ok":
        message = sentence("doctor.redis-append-only-file-fails")
        remedy = sentence("doctor.redis-append-only-file-fails-remedy")
        found.append(_finding("redis-append-only-file-fails", "critical", message, remedy, status=status))
    version = str(info.get("redis_version", ""))
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if number and number < OLDEST_VERSION:
        message = sentence("doctor.redis-version", version=version, oldest=".".join(map(str, OLDEST_VERSION)))
        found.append(
            _finding("redis-version", "warning", message, sentence("doctor.redis-version-remedy"), version=version)
        )
    return found


def _finding(code: str, severity: Severity, message: Sentence, remedy: Sentence, **evidence: Any) -> Finding:
    return finding(code, severity, REDIS, message, remedy, evidence=evidence)
