"""Reports what executions end with, in the log and in the metrics."""

import functools
from typing import Final

from prometheus_client import Counter

from filas.models.executions import (
    FAILED_EXECUTION_STATUSES,
    FINAL_EXECUTION_STATUSES,
    Checkpoint,
    ClaimedExecution,
    ExecutionStatus,
)
from filas.models.record import ErrorDetail
from filas.observability import logs
from filas.observability.metrics import EXECUTIONS, EXECUTIONS_FAILED, STEPS

log = logs.get_logger(__name__)

MAX_FAILURE_LABELS: Final = 500
"""How many pairs of flow and kind of error the metrics of a process have."""

_failure_pairs: set[tuple[str, str]] = set()


def report(claimed: ClaimedExecution, checkpoint: Checkpoint, status: ExecutionStatus) -> None:
    """Counts the visits of a written checkpoint. Logs and counts the execution if it has ended with it."""
    for step in checkpoint.steps:
        if step.ended_at is not None:
            _counted(step.type, step.status).inc()
    if status not in FINAL_EXECUTION_STATUSES:
        return
    EXECUTIONS.labels(status).inc()
    if status in FAILED_EXECUTION_STATUSES:
        EXECUTIONS_FAILED.labels(*_failure_labels(claimed.flow_id, checkpoint.error)).inc()
    _log_end(claimed, checkpoint, status)


@functools.lru_cache(maxsize=256)
def _counted(node_type: str, status: str) -> Counter:
    """The count of the visits with this outcome. To find it for each visit would cost more than to count the visit."""
    return STEPS.labels(node_type, status)


def _log_end(claimed: ClaimedExecution, checkpoint: Checkpoint, status: ExecutionStatus) -> None:
    """Logs one line for an ended execution: its flow, its contact and its outcome; a warning if it did not succeed."""
    fields: dict[str, object] = {"flow_id": claimed.flow_id, "contact": claimed.contact, "outcome": status}
    if checkpoint.error is not None:
        error = checkpoint.error
        fields |= {"error_kind": error.kind, "node_id": error.node_id, "reason": error.message}
    fields["execution_id"] = str(claimed.id)
    if status in FAILED_EXECUTION_STATUSES:
        log.warning("execution.ended", **fields)
    else:
        log.info("execution.ended", **fields)


def _failure_labels(flow_id: str, error: ErrorDetail | None) -> tuple[str, str]:
    """The flow and the kind of error; `other` for a pair beyond the first MAX_FAILURE_LABELS."""
    pair = flow_id, "-" if error is None else error.kind
    if pair not in _failure_pairs and len(_failure_pairs) >= MAX_FAILURE_LABELS:
        return "other", "other"
    _failure_pairs.add(pair)
    return pair
