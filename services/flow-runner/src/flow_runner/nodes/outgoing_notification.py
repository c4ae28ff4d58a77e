"""What a node has to send: recorded with its step, delivered by the notifier."""

from typing import Any

from filas.contract import identity
from filas.models.executions import NewNotification
from flow_runner.engine.node_protocol import NodeFailure, Visit


def notification(
    visit: Visit, kind: str, channel: str | None, to: str | None, payload: dict[str, Any], part: int = 1
) -> NewNotification:
    """The `part`-th notification of a visit; each has a key of its own, the same in every try.

    Raises NodeFailure (of `kind`) where nobody is to have it.
    """
    if not channel:
        raise NodeFailure(kind, "no channel: the execution has no conversation, and the node names none")
    if not to:
        raise NodeFailure(kind, "no receiver: the execution has no conversation, and the node names none")
    if "\0" in channel or "\0" in to:
        raise NodeFailure(kind, "the channel or the receiver holds a NUL character")
    claimed = visit.claimed
    own = channel == claimed.channel and to == claimed.contact
    return NewNotification(
        id=identity.notification_id(claimed.id, visit.seq, part),
        execution_id=claimed.id,
        seq=visit.seq,
        channel_id=channel,
        recipient=to,
        payload=payload,
        idempotency_key=visit.key if part == 1 else f"{visit.key}:{part}",
        conversation_id=claimed.conversation_id if own else None,
        traceparent=visit.traceparent,
    )
