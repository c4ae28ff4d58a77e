"""What the checks read, and what they return."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from filas.models.findings import Finding
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.redis_client.connection import Redis
from filas.repository.diagnosis import DiagnosisRepository
from filas.repository.postgres.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorSettings:
    """When the doctor finds something wrong. Times are in seconds, retention in days, `database_bytes` is the size of
    the volume of Postgres (0: unknown). `weak_secrets` are variables whose values can be guessed."""

    oldest_waiting_s: float = 60.0
    expired_lease_s: float = 15.0
    overdue_s: float = 60.0
    unfinished_s: float = 60.0
    failures_within_s: float = 3600.0
    letters_within_s: float = 24 * 3600.0
    long_transaction_s: float = 300.0
    clock_difference_s: float = 2.0
    search_behind_s: float = 120.0
    dead_rows: int = 1_000_000
    database_bytes: int = 0
    retention_days: Mapping[str, int] = field(default_factory=dict)
    weak_secrets: tuple[str, ...] = ()


DEFAULT_SETTINGS: Final = DoctorSettings()


@dataclass(frozen=True, slots=True)
class DoctorStores:
    """The stores of an examination. `reading` is the database for statements that only read."""

    redis: Redis
    database: Database
    reading: Database
    settings: DoctorSettings = DEFAULT_SETTINGS

    @property
    def rows(self) -> DiagnosisRepository:
        """The rows to examine."""
        return DiagnosisRepository(self.database)

    @property
    def stats(self) -> QueueStats:
        """The counts of the queues."""
        return QueueStats(self.redis)


@dataclass(slots=True)
class Checked:
    """What one check has seen: the state of its part in a few words, and what is wrong."""

    detail: str
    findings: list[Finding] = field(default_factory=list)
