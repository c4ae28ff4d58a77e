"""The trace of a turn: the step rows that the next checkpoint writes."""

from datetime import datetime
from typing import Any

from filas.models import ErrorDetail, StepRecord, StepStatus
from flow_runner.nodes.visit import Visit
from flow_runner.state import Pending
from flow_runner.trace import Redactor, bounded


class StepLog:
    """One row a visit; a visit that is tried again or goes on after a wait keeps its row."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._begun: dict[int, tuple[str, datetime]] = {}
        self.records: list[StepRecord] = []

    def begin(self, visit: Visit, node_type: str, started_at: datetime) -> None:
        self._begun[visit.seq] = node_type, started_at

    def started_at(self, visit: Visit) -> datetime:
        return self._begun[visit.seq][1]

    def shown(self, value: Any) -> Any:
        """A value as the trace shows it: without secrets, and bounded."""
        try:
            return bounded(self._redactor.clean(value))
        except RecursionError:
            return {"truncated": True, "reason": "nested too deep"}

    def waits(self, visit: Visit) -> None:
        self._add(visit, "waiting")

    def retries(self, visit: Visit, error: ErrorDetail) -> None:
        self._add(visit, "retrying", error=error)

    def ends(
        self,
        visit: Visit,
        now: datetime,
        status: StepStatus,
        handle: str | None,
        output: Any,
        error: ErrorDetail | None = None,
    ) -> None:
        self._add(visit, status, handle, output, error, now)
        del self._begun[visit.seq]

    def cancels(self, pending: Pending, node_type: str, now: datetime) -> None:
        """The row of a visit that the end of its execution cuts short."""
        self.records.append(
            StepRecord(
                seq=pending.seq,
                node_id=pending.node,
                type=node_type,
                status="cancelled",
                attempt=pending.attempt,
                handle=None,
                input=pending.input,
                output=None,
                error=None,
                started_at=pending.started_at,
                ended_at=now,
            )
        )

    def take(self, started: Visit | None = None) -> list[StepRecord]:
        """The rows since the last time; with that of a visit that is about to call the outside."""
        if started is not None:
            self._add(started, "running")
        taken, self.records = self.records, []
        return taken

    def _add(
        self,
        visit: Visit,
        status: StepStatus,
        handle: str | None = None,
        output: Any = None,
        error: ErrorDetail | None = None,
        ended_at: datetime | None = None,
    ) -> None:
        node_type, started_at = self._begun[visit.seq]
        self.records.append(
            StepRecord(
                seq=visit.seq,
                node_id=visit.node_id,
                type=node_type,
                status=status,
                attempt=visit.attempt,
                handle=handle,
                input=self.shown(visit.input),
                output=self.shown(output),
                error=error,
                started_at=started_at,
                ended_at=ended_at,
            )
        )
