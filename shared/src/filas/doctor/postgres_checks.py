"""Checks Postgres: its clock, its schema, its connections and transactions, its size, and the age of its rows."""

import time
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final

from filas.doctor.sentences import Sentence, finding, sentence
from filas.doctor.stores import Checked, DoctorStores
from filas.models.diagnosis_rows import ServerState
from filas.models.findings import Finding, Severity, Subject
from filas.queue.redis_client.redis_clock import read_time_s
from filas.repository.schema import required_version

POSTGRES: Final = Subject(kind="postgres")
FULL_SHARE: Final = 0.8
NEARLY_FULL: Final = 95
"""Percent of the volume."""

RETENTION_SLACK: Final = timedelta(days=2)
"""Retention runs every quarter of an hour, and keeps a row that has not ended."""

_RETAINED: Final = {"event": "EVENTS", "execution": "EXECUTIONS", "dead_letter": "DEAD_LETTERS"}


async def check_postgres(stores: DoctorStores) -> Checked:
    """Raises StoreUnavailable."""
    start = perf_counter()
    server = await stores.rows.server()
    checked = Checked(f"answers in {(perf_counter() - start) * 1000:.1f} ms")
    checked.findings += await _schema(stores)
    checked.findings += _capacity(stores, server)
    checked.findings += await _transactions(stores)
    checked.findings += await _bloat(stores)
    checked.findings += await _retention(stores)
    return checked


async def check_clocks(stores: DoctorStores) -> Checked:
    """Compares the clocks of Redis, of Postgres and of this process. Raises StoreUnavailable."""
    clocks: dict[str, float] = {}
    for name in ("redis", "postgres"):
        before = time.time()
        clock = await read_time_s(stores.redis) if name == "redis" else (await stores.rows.server()).now_s
        # The answer took some time, and the clock was read in between.
        clocks[name] = clock - (before + time.time()) / 2
    apart = max(*clocks.values(), 0.0) - min(*clocks.values(), 0.0)
    checked = Checked(f"differ by {apart:.1f} s at most")
    if apart > stores.settings.clock_difference_s:
        checked.findings.append(
            finding(
                "clocks-differ",
                "warning",
                Subject(kind="process", id="ingest-admin"),
                sentence("doctor.clocks-differ", apart=apart),
                sentence("doctor.clocks-differ-remedy"),
                evidence={f"{name}AheadS": round(ahead, 1) for name, ahead in clocks.items()},
            )
        )
    return checked


async def check_versions(stores: DoctorStores) -> Checked:
    """Compares the versions of the processes that are connected. Raises StoreUnavailable."""
    versions: dict[str, set[str]] = {}
    for name in await stores.rows.process_names():
        process, _, version = name.removesuffix("-watch").partition(" ")
        if version:
            versions.setdefault(version, set()).add(process)
    checked = Checked(f"{', '.join(sorted(versions)) or 'no process'} connected")
    if len(versions) > 1:
        checked.findings.append(
            finding(
                "versions-differ",
                "info",
                Subject(kind="process"),
                sentence("doctor.versions-differ", versions=", ".join(sorted(versions))),
                sentence("doctor.versions-differ-remedy"),
                evidence={version: sorted(processes) for version, processes in versions.items()},
            )
        )
    return checked


async def _schema(stores: DoctorStores) -> list[Finding]:
    found, required = await stores.rows.schema_version(), required_version()
    if found >= required:
        return []
    message = sentence("doctor.migrations-missing", applied=found, required=required)
    remedy = sentence("doctor.migrations-missing-remedy")
    evidence = {"applied": found, "required": required}
    return [_finding("migrations-missing", "critical", message, remedy, evidence=evidence)]


def _capacity(stores: DoctorStores, server: ServerState) -> list[Finding]:
    found = []
    if server.connections > FULL_SHARE * server.max_connections:
        message = sentence("doctor.postgres-connections", used=server.connections, limit=server.max_connections)
        remedy = sentence("doctor.postgres-connections-remedy")
        evidence: dict[str, Any] = {"connections": server.connections, "limit": server.max_connections}
        found.append(_finding("postgres-connections", "warning", message, remedy, evidence=evidence))
    limit = stores.settings.database_bytes
    if limit and server.database_bytes > FULL_SHARE * limit:
        share = 100 * server.database_bytes / limit
        message = sentence("doctor.postgres-disk", share=share)
        remedy = sentence("doctor.postgres-disk-remedy")
        evidence = {"databaseBytes": server.database_bytes, "volumeBytes": limit}
        severity: Severity = "critical" if share > NEARLY_FULL else "warning"
        found.append(_finding("postgres-disk", severity, message, remedy, evidence=evidence))
    return found


async def _transactions(stores: DoctorStores) -> list[Finding]:
    found = await stores.rows.long_transactions(stores.settings.long_transaction_s)
    if not found:
        return []
    first = found[0]
    program = first.application or sentence("doctor.unnamed-program")
    message = sentence("doctor.postgres-long-transaction", program=program, pid=first.pid, state=first.state)
    evidence = {"sessions": [{"pid": one.pid, "application": one.application, "state": one.state} for one in found]}
    remedy = sentence("doctor.postgres-long-transaction-remedy", pid=first.pid)
    return [_finding("postgres-long-transaction", "warning", message, remedy, since=first.since, evidence=evidence)]


async def _bloat(stores: DoctorStores) -> list[Finding]:
    found = await stores.rows.bloat(stores.settings.dead_rows)
    return [
        _finding(
            "postgres-bloat",
            "warning",
            sentence("doctor.postgres-bloat", table=one.table_name, dead=one.dead, live=one.live),
            sentence("doctor.postgres-bloat-remedy"),
            evidence={"table": one.table_name, "dead": one.dead, "live": one.live},
        )
        for one in found
    ]


async def _retention(stores: DoctorStores) -> list[Finding]:
    oldest, found = await stores.rows.oldest(), []
    for name, days in stores.settings.retention_days.items():
        time_of = oldest.get(name)
        if time_of is None or not days or datetime.now(UTC) - time_of < timedelta(days=days) + RETENTION_SLACK:
            continue
        variable = f"{_RETAINED[name]}_RETENTION_DAYS"
        found.append(
            _finding(
                "retention-behind",
                "warning",
                sentence(
                    "doctor.retention-behind",
                    row=sentence(f"doctor.row-{name}"),
                    date=f"{time_of:%Y-%m-%d}",
                    variable=variable,
                    days=days,
                ),
                sentence("doctor.retention-behind-remedy"),
                since=time_of + timedelta(days=days),
                evidence={"oldest": time_of.isoformat(), "days": days},
            )
        )
    return found


def _finding(
    code: str,
    severity: Severity,
    message: Sentence,
    remedy: Sentence,
    *,
    since: datetime | None = None,
    evidence: dict[str, Any],
) -> Finding:
    return finding(code, severity, POSTGRES, message, remedy, evidence=evidence, since=since)
