"""Rows of `executions` and `steps` as records."""

from __future__ import annotations

from typing import Any, Final

import asyncpg
import msgspec

from filas.errors import RetryLater
from filas.models.executions import HELD_RETRY_S, LONGEST_HOLD_S, ClaimedExecution, DueExecution, StepRecord
from filas.repository.postgres.json_columns import error_detail, from_json

_NOT_SHOWN: Final = {"truncated": True, "reason": "the steps before have too much input and output"}

SOON_S: Final = 1.0
"""When the job asks again for an execution that another worker has just claimed, in seconds."""

MAX_HOLD_S: Final = 30.0
"""The longest time before the job asks again for an execution, which may be cancelled meanwhile, in seconds."""


def due(row: asyncpg.Record) -> DueExecution:
    """An execution that needs a job."""
    return DueExecution(
        id=row["id"],
        turn=row["turn"],
        flow_id=row["flow_id"],
        conversation_id=row["conversation_id"],
        status=row["status"],
        channel=row["channel"],
        contact=row["contact"],
        event_id=row["event_id"],
    )


def claim(row: asyncpg.Record) -> ClaimedExecution | RetryLater | None:
    """The result of a request to claim an execution."""
    if row["id"] is None:
        # The job that asked waits for the retry, so that its group waits too.
        if row["seen_turn"] and row["seen_status"] in ("queued", "running", "retrying"):
            return claimed_elsewhere(row["seen_wait_s"])
        wait_s = row["seen_wait_s"] or 0.0
        if row["seen_turn"] and row["seen_awaits_message"] and wait_s <= LONGEST_HOLD_S:
            # Its job holds the conversation until the outcome of its message is known, or the wait is over.
            return claimed_elsewhere(min(wait_s, HELD_RETRY_S))
        return None
    return ClaimedExecution(
        id=row["id"],
        fence=row["fence"],
        turn=row["turn"],
        flow_id=row["flow_id"],
        version=row["version"],
        node_id=row["node_id"],
        event_id=row["event_id"],
        conversation_id=row["conversation_id"],
        channel=row["channel"],
        contact=row["contact"],
        trigger=row["trigger"] or "",
        state=row["state"],
        status_before=row["status_before"],
        started_at=row["started_at"],
        deadline_at=row["deadline_at"],
        conversation_vars=row["vars"],
        cancel_requested=row["cancel_requested"],
        superseded=row["superseded"],
        leaves_waits=row["leaves_waits"],
        claimed_at=row["claimed_at"],
        start_state=row["start_state"],
        reply=row["reply"],
        call=row["call"],
        message_outcome=row["message_outcome"],
        content_bytes=row["content_bytes"],
        is_loaded=row["trigger"] is not None,
    )


def loaded(claimed: ClaimedExecution, row: asyncpg.Record) -> ClaimedExecution:
    """A claimed execution with its content."""
    return msgspec.structs.replace(
        claimed,
        trigger=row["trigger"],
        state=row["state"],
        start_state=row["start_state"],
        conversation_vars=row["vars"],
        reply=row["reply"],
        call=row["call"],
        is_loaded=True,
    )


def claimed_elsewhere(wait_s: float | None) -> RetryLater:
    """Another worker holds the execution, or its retry is not due: the job asks again when the lease or wait ends."""
    # The statement may have seen the row as it was before the other claim. Then its lease is not known.
    delay_s = min(wait_s, MAX_HOLD_S) if wait_s is not None and wait_s > 0 else SOON_S
    return RetryLater("another worker holds the execution, or it is not due", delay_s=delay_s, uses_attempt=False)


def fields(row: asyncpg.Record) -> dict[str, Any]:
    """The fields of an Execution."""
    return {
        "id": row["id"],
        "status": row["status"],
        "flow_id": row["flow_id"],
        "version": row["version"],
        "event_id": row["event_id"],
        "conversation_id": row["conversation_id"],
        "channel": row["channel"],
        "contact": row["contact"],
        "error": error_detail(row["error"]),
        "output": from_json(row["output"]),
        "wake_at": row["wake_at"],
        "queued_at": row["queued_at"],
        "started_at": row["started_at"],
        "ended_at": row["ended_at"],
        "replay_of": row["replay_of"],
        "resumed_id": row["resumed_id"],
        "fingerprint": row["fingerprint"],
        "undelivered": row["undelivered"],
    }


def step(row: asyncpg.Record) -> StepRecord:
    """The record of one visit of a node."""
    return StepRecord(
        seq=row["seq"],
        node_id=row["node_id"],
        type=row["type"],
        status=row["status"],
        attempt=row["attempt"],
        handle=row["handle"],
        input=from_json(row["input"]),
        output=_NOT_SHOWN if row["cut"] else from_json(row["output"]),
        error=error_detail(row["error"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )
