"""The notification that a node sends: recorded with the node's step, delivered by the notifier."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from filas.channels.content_checks import refuse_beyond_limits
from filas.channels.content_parts import parts_of
from filas.channels.invalid_content import InvalidContent
from filas.contract import identity
from filas.models.executions import NewNotification
from flow_runner.engine.node_protocol import NodeFailure, Visit
from flow_runner.nodes.outgoing_content import Recipient

PARTS_OF_ONE = 100
"""More than the most questions of a visit: their numbers and those of the parts before them differ."""


def notifications(
    visit: Visit,
    kind: str,
    to: Recipient,
    payloads: Sequence[dict[str, Any]],
    thread: Mapping[str, str] | None = None,
    number: int = 1,
) -> list[NewNotification]:
    """The notifications of a visit, in the order in which they are sent: one for each payload, or several if its text
    is too long for the channel. `number` (from 1) is that of the question of an `input`; it is the part number of the
    last notification, for whose outcome the visit may wait.

    Raises NodeFailure (of `kind`) without a channel or a recipient, and for a content beyond the limits of the channel.
    """
    parts: list[dict[str, Any]] = []
    try:
        for payload in payloads:
            parts += parts_of(payload, to.type)
        if to.type is not None:
            for part in parts:
                refuse_beyond_limits(part, to.type)
    except InvalidContent as error:
        raise NodeFailure(error.kind, f"`{visit.data.field_of(error.field)}`: {error}") from None
    numbers = [*(PARTS_OF_ONE * index + number for index in range(1, len(parts))), number]
    return [
        _notification(visit, kind, to, part, one, thread, awaits=one == number)
        for part, one in zip(parts, numbers, strict=True)
    ]


def _notification(
    visit: Visit,
    kind: str,
    addressee: Recipient,
    payload: dict[str, Any],
    part: int,
    own_thread: Mapping[str, str] | None,
    *,
    awaits: bool,
) -> NewNotification:
    """The notification number `part` of a visit. Its id and its key are the same in each attempt.

    A message to the conversation's contact has the `thread` of the contact's last message, so that the answer is in the
    same thread, topic or business account, unless the node names a thread.
    """
    channel, to = addressee.channel, addressee.to
    if not channel:
        raise NodeFailure(kind, f"no channel: {_no_conversation(visit)}")
    if not to:
        raise NodeFailure(kind, f"no recipient: {_no_conversation(visit)}")
    if "\0" in channel or "\0" in to:
        raise NodeFailure(kind, "the channel or the recipient contains a NUL character")
    claimed = visit.claimed
    own = channel == claimed.channel and to == claimed.contact
    thread = own_thread if own_thread is not None else _thread(visit) if own else None
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
        awaits=None if visit.awaits == "recorded" or kind == "input" or not awaits else visit.awaits,
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
