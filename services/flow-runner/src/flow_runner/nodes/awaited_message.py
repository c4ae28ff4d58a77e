"""The wait of a node for the outcome of its message. The execution's row has the wait, so waiting needs no worker.

The wait is stored in the transaction that records the message, so no outcome can arrive before it.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import UnsetType

from filas.flows.nodes.node_data import AWAIT_MS, SendingData
from filas.models.executions import LONGEST_HOLD_S, NewNotification
from flow_runner.engine.node_protocol import Done, NodeFailure, Visit, Wait

UNDELIVERED: Final = "undelivered"
"""The kind of the failure of a node whose message was not delivered."""


def begin(visit: Visit, notifications: Sequence[NewNotification]) -> Done | Wait:
    """Records the messages, and waits for the outcome of the last one as the node specifies: they are sent in order."""
    notification = notifications[-1]
    output = {
        "notificationId": str(notification.id),
        "channel": notification.channel_id,
        "to": notification.recipient,
    }
    if visit.awaits == "recorded":
        return Done(output, notifications=notifications)
    data: SendingData = visit.data
    wait_ms = AWAIT_MS[visit.awaits] if data.await_ms is None else data.await_ms
    until = visit.now + timedelta(milliseconds=wait_ms)
    return Wait(
        until,
        status="waiting-callback",
        memo=output,
        notifications=notifications,
        message_id=notification.id,
        holds_conversation=_holds_conversation(visit, wait_ms),
    )


def is_resumed(visit: Visit) -> bool:
    """Whether the message of this visit is recorded already."""
    return visit.pending is not None and visit.pending.reason == "wait"


def end(visit: Visit) -> Done | Wait:
    """Ends the wait: with the outcome, or without it when its time is over. Raises NodeFailure for a message that has
    failed."""
    pending = visit.pending
    if pending is None:
        raise NodeFailure(UNDELIVERED, "the node does not wait for a message")
    visit.input, output = pending.input, pending.memo
    raise_if_failed(pending.outcome, output)
    if not isinstance(pending.outcome, UnsetType):
        provider_id = pending.outcome.get("providerId")  # An outcome of an older version has none.
        return Done({**output, "delivery": pending.outcome["status"], "providerId": provider_id})
    if pending.wake_at is not None and pending.wake_at > visit.now:
        message_id, left = UUID(output["notificationId"]), pending.wake_at - visit.now
        holds = _holds_conversation(visit, left.total_seconds() * 1000)
        return Wait(
            pending.wake_at, status="waiting-callback", memo=output, message_id=message_id, holds_conversation=holds
        )
    return Done({**output, "delivery": None, "providerId": None})


def _holds_conversation(visit: Visit, wait_ms: float) -> bool:
    """Whether the conversation's next message waits too: if the contact answers before the provider does, the answer
    belongs to the question that follows."""
    return visit.awaits == "sent" and wait_ms <= LONGEST_HOLD_S * 1000


def raise_if_failed(outcome: Mapping[str, Any] | UnsetType, output: Mapping[str, Any]) -> None:
    """Raises NodeFailure if the message has failed or was cancelled. `output` is what the node shows nevertheless."""
    if isinstance(outcome, UnsetType) or outcome["status"] not in ("failed", "cancelled"):
        return
    error = outcome.get("error") or {"kind": "cancelled", "message": "an operator cancelled it"}
    detail = {**(error.get("detail") or {}), "kind": error["kind"]}
    message = f"the message was not delivered: {error['message']}"
    raise NodeFailure(UNDELIVERED, message, detail=detail, output={**output, "delivery": outcome["status"]})
