"""Checks Redis: whether it answers, and whether it can lose jobs."""

import re
from time import perf_counter
from typing import Any, Final

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
        found.append(
            _finding(
                "redis-evicts",
                "critical",
                f"Redis deletes jobs when its memory is full: maxmemory-policy is {policy}",
                "set maxmemory-policy to noeviction",
                policy=policy,
                limitBytes=limit,
            )
        )
    if limit and used > FULL_SHARE * limit:
        found.append(
            _finding(
                "redis-memory",
                "warning",
                f"Redis uses {100 * used / limit:.0f} % of its memory limit",
                "raise maxmemory, or find the queue that grows with `filas stats`",
                usedBytes=used,
                limitBytes=limit,
            )
        )
    if not info.get("aof_enabled", 1):
        found.append(
            _finding(
                "redis-no-append-only-file",
                "warning",
                "Redis has no append-only file: a crash loses events that were accepted while Postgres was unavailable",
                "set appendonly to yes",
            )
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        found.append(
            _finding(
                "redis-append-only-file-fails",
                "critical",
                "Redis cannot write its append-only file",
                "check the free space and the permissions of its directory",
                status=info["aof_last_write_status"],
            )
        )
    version = str(info.get("redis_version", ""))
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if number and number < OLDEST_VERSION:
        found.append(
            _finding(
                "redis-version",
                "warning",
                f"Redis {version} is older than {'.'.join(map(str, OLDEST_VERSION))}, the oldest supported version",
                "upgrade Redis",
                version=version,
            )
        )
    return found


def _finding(code: str, severity: Severity, message: str, remedy: str, **evidence: Any) -> Finding:
    return Finding(code=code, severity=severity, subject=REDIS, message=message, remedy=remedy, evidence=evidence)
