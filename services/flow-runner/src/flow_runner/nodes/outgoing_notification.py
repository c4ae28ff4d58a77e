"""The notification that a node sends: recorded with the node's step, delivered by the notifier."""

from typing import Any

import msgspec

from filas.contract import identity
from filas.models.executions import NewNotification
from flow_runner.engine.node_protocol import NodeFailure, Visit


def notification(
    visit: Visit, kind: str, channel: str | None, to: str | None, payload: dict[str, Any], part: int = 1
) -> NewNotification:
    """The notification number `part` (from 1) of a visit. Its id and its key are the same in each attempt.

    A message to the conversation's contact has the `thread` of the contact's last message, so that the answer is in the
    same thread, topic or business account.

    Raises NodeFailure (of `kind`) without a channel or a recipient.
    """
    if not channel:
        raise NodeFailure(kind, f"no channel: {_no_conversation(visit)}")
    if not to:
        raise NodeFailure(kind, f"no recipient: {_no_conversation(visit)}")
    if "\0" in channel or "\0" in to:
        raise NodeFailure(kind, "the channel or the recipient contains a NUL character")
    claimed = visit.claimed
    own = channel == claimed.channel and to == claimed.contact
    thread = _thread(visit) if own else None
    if thread:
        payload = {**payload, "thread": thread}
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
        awaits=None if visit.awaits == "recorded" or kind == "input" else visit.awaits,
    )


def _no_conversation(visit: Visit) -> str:
    """Why there is no channel or recipient. The trigger states why its event has no conversation, if that is known."""
    reason = msgspec.json.decode(visit.claimed.trigger).get("noConversation")
    text = "the execution has no conversation, and the node names none"
    return text if reason is None else f"{text} ({reason})"


def _thread(visit: Visit) -> dict[str, Any] | None:
    message = visit.scope.roots["conversation"]["message"]
    thread: dict[str, Any] | None = message["thread"] if message is not None else None
    return thread
