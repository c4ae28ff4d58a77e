"""The entries of the messages of a timeline: their waits, the attempts to deliver them, and the receipts."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from filas.models.notifications import NotificationStatus
from filas.models.timelines import TimelineAttempt, TimelineEntry, TimelineMessage, TimelineRows

_RECEIPTS: Final = frozenset({"delivered", "read", "failed"})
_SENT: Final = frozenset({"sent", "delivered"})


def message_entries(rows: TimelineRows) -> Iterator[TimelineEntry]:
    """The entries of all messages, one message after the other."""
    attempts: defaultdict[UUID, list[TimelineAttempt]] = defaultdict(list)
    for one in rows.attempts:
        attempts[one.notification_id].append(one)
    for message in rows.messages:
        yield from _message(message, attempts[message.id])


def _message(message: TimelineMessage, attempts: Sequence[TimelineAttempt]) -> Iterator[TimelineEntry]:
    common: dict[str, Any] = {
        "execution_id": message.execution_id,
        "seq": message.seq,
        "notification_id": message.id,
        "channel_id": message.channel_id,
    }
    since: datetime | None = message.created_at
    for one in attempts:
        if since is not None:
            what = "the message waited for its first attempt" if one.attempt == 1 else "it waited for the next attempt"
            yield TimelineEntry(
                at=since, kind="message-wait", what=what, until=one.started_at, attempt=one.attempt, **common
            )
        code = "" if one.status_code is None else f", status {one.status_code}"
        yield TimelineEntry(
            at=one.started_at,
            kind="attempt",
            what=f"attempt {one.attempt} to deliver it over {message.channel_id}: {one.outcome}{code}",
            until=one.ended_at,
            open=one.outcome == "sending",
            status=one.outcome,
            attempt=one.attempt,
            error=one.error,
            **common,
        )
        since = one.ended_at
    if message.status in ("queued", "retrying"):
        until = message.due_at if message.status == "retrying" else None
        yield TimelineEntry(
            at=since or message.updated_at,
            kind="message-wait",
            what="the message waits for its first attempt" if not attempts else "it waits for the next attempt",
            until=until,
            open=True,
            status=message.status,
            **common,
        )
    yield from _receipt(message, attempts, common)


def _receipt(
    message: TimelineMessage, attempts: Sequence[TimelineAttempt], common: dict[str, Any]
) -> Iterator[TimelineEntry]:
    last = attempts[-1] if attempts else None
    if message.status == "cancelled":
        yield TimelineEntry(
            at=message.updated_at, kind="receipt", what="it was cancelled", status="cancelled", **common
        )
        return
    reported: dict[NotificationStatus, datetime] = {}
    if message.delivered_at is not None:
        reported["delivered"] = message.delivered_at
    if message.read_at is not None:
        reported["read"] = message.read_at
    # An older version stored only the time of the last receipt.
    is_receipt = last is not None and last.outcome in _SENT and message.status != last.outcome
    if message.status in _RECEIPTS and is_receipt and message.status not in reported:
        reported[message.status] = message.updated_at
    for status, at in reported.items():
        what = f"a delivery receipt of {message.channel_id}: {status}"
        error = message.error if status == "failed" else None
        yield TimelineEntry(at=at, kind="receipt", what=what, status=status, error=error, **common)
