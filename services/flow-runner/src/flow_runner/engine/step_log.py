"""The trace of a turn: the step rows that the next checkpoint writes."""

from datetime import datetime
from typing import Any

from filas.models.executions import StepRecord, StepStatus
from filas.models.record import ErrorDetail
from filas.tracing import spans
from flow_runner.engine.execution_state import Pending
from flow_runner.engine.node_protocol import Visit
from flow_runner.engine.redaction import Redactor, bounded


class StepLog:
    """One row a visit; a visit that is tried again or goes on after a wait keeps its row."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._begun: dict[int, datetime] = {}
        self._span = spans.NOT_RECORDED
        self.records: dict[int, StepRecord] = {}

    def begin(self, visit: Visit, started_at: datetime) -> None:
        self._begun[visit.seq] = started_at
        if spans.is_on():
            self._span = _span_of(visit)
            visit.traceparent = self._span.traceparent

    def started_at(self, visit: Visit) -> datetime:
        return self._begun[visit.seq]

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

    def cut_short(
        self,
        pending: Pending,
        place: str,
        node_type: str,
        now: datetime,
        status: StepStatus = "cancelled",
        error: ErrorDetail | None = None,
    ) -> None:
        """The row of a visit that ends with its execution, or with the subflow in it."""
        self._put(
            StepRecord(
                seq=pending.seq,
                node_id=place,
                type=node_type,
                status=status,
                attempt=pending.attempt,
                handle=None,
                input=pending.input,
                output=None,
                error=error,
                started_at=pending.started_at,
                ended_at=now,
            )
        )

    def interrupted(self) -> None:
        """The turn has ended: a visit that has not come to its end, or to a wait, was cut off."""
        self._span.fail("interrupted")
        self._span.end()

    def take(self, started: Visit | None = None) -> list[StepRecord]:
        """The rows since the last time; with that of a visit that is about to call the outside."""
        if started is not None:
            self._add(started, "running")
        taken, self.records = self.records, {}
        return list(taken.values())

    def _put(self, record: StepRecord) -> None:
        """A visit has one row, the newest: a subflow may begin and end between two checkpoints."""
        self.records[record.seq] = record

    def _add(
        self,
        visit: Visit,
        status: StepStatus,
        handle: str | None = None,
        output: Any = None,
        error: ErrorDetail | None = None,
        ended_at: datetime | None = None,
    ) -> None:
        if status != "running":
            self._end_span(status, handle, error)
        self._put(
            StepRecord(
                seq=visit.seq,
                node_id=visit.place,
                type=visit.type,
                status=status,
                attempt=visit.attempt,
                handle=handle,
                input=self.shown(visit.input),
                output=self.shown(output),
                error=error,
                started_at=self._begun[visit.seq],
                ended_at=ended_at,
            )
        )

    def _end_span(self, status: StepStatus, handle: str | None, error: ErrorDetail | None) -> None:
        """The visit has ended, or goes on in another turn, with a span of its own there."""
        span, self._span = self._span, spans.NOT_RECORDED
        if span is spans.NOT_RECORDED:
            return
        span.tell({"filas.node.outcome": status, "filas.node.handle": handle})
        if error is not None:
            span.fail(error.kind, error.message)
        span.end()


def _span_of(visit: Visit) -> spans.Span:
    attributes: spans.Attributes = {
        "filas.execution.id": str(visit.claimed.id),
        "filas.flow.id": visit.claimed.flow_id,
        "filas.node.id": visit.place,
        "filas.node.type": visit.type,
        "filas.node.attempt": visit.attempt,
        "filas.step.seq": visit.seq,
    }
    return spans.span(f"node {visit.type}", "internal", spans.current().traceparent, attributes)
