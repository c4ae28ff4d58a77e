"""Ids of rows: derived from what determines the row, so that a retry finds the same row; otherwise time-ordered."""

import datetime
import hashlib
import os
import time
import uuid

from filas.contacts.canonical_address import canonical_address, medium_of

_NAMESPACE = uuid.UUID("6f0c1f0e-9d0b-5c53-9c1e-1d6a5f3f9a10")
_HASHED_NAMESPACE = hashlib.sha1(_NAMESPACE.bytes, usedforsecurity=False)
_VERSION_5 = (0x5 << 76) | (0x2 << 62)
_UNVERSIONED = ~((0xF << 76) | (0x3 << 62))


def new_id() -> uuid.UUID:
    """A random, time-ordered id (UUID version 7, RFC 9562: 48 bits of Unix milliseconds, then random)."""
    value = int.from_bytes(os.urandom(10), "big") & ((1 << 80) - 1)
    value |= (time.time_ns() // 1_000_000) << 80
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return uuid.UUID(int=value)


def derived_id(kind: str, *parts: str | int) -> uuid.UUID:
    """The id of the row of this `kind` that `parts` determine (UUID version 5). The same parts give the same id.

    Each part is preceded by its length, so that no two lists of parts give the same name.
    """
    name = kind
    for part in parts:
        text = str(part)
        name += f"|{len(text)}:{text}"
    # The same as uuid.uuid5, but with the namespace hashed only once: each request needs one or two ids.
    digest = _HASHED_NAMESPACE.copy()
    digest.update(name.encode())
    return uuid.UUID(int=int.from_bytes(digest.digest()[:16], "big") & _UNVERSIONED | _VERSION_5)


def event_id(webhook_id: str, duplicate_key: str) -> uuid.UUID:
    """The id of the event with this duplicate key in its webhook."""
    return derived_id("event", webhook_id, duplicate_key)


def content_key(webhook_id: str, digest: str, part: int | None = None) -> uuid.UUID:
    """The key of an event by the digest of what its sender has signed, and by the number of the part in the request."""
    return derived_id("content", webhook_id, digest, *([] if part is None else [part]))


def execution_id(event: uuid.UUID, message: str, run: int = 0) -> uuid.UUID:
    """The id of the execution that a message of an event starts. `message` is the provider's id of it, or its index.
    `run` counts the replays of the processed event: each starts executions of its own."""
    return derived_id("execution", str(event), message, *([run] if run else []))


def error_execution_id(execution: uuid.UUID) -> uuid.UUID:
    """The id of the execution of the error flow that a failed execution starts."""
    return derived_id("error-execution", str(execution))


def undelivered_execution_id(notification: uuid.UUID) -> uuid.UUID:
    """The id of the execution that a message starts which could not be delivered."""
    return derived_id("undelivered-execution", str(notification))


def scheduled_execution_id(schedule: str, tick: datetime.datetime) -> uuid.UUID:
    """The id of the execution that a schedule starts at its `tick`."""
    return derived_id("scheduled-execution", schedule, tick.astimezone(datetime.UTC).isoformat())


def notification_id(execution: uuid.UUID, seq: int, part: int = 1) -> uuid.UUID:
    """The id of the notification that step `seq` of an execution sends as its part number `part` (from 1)."""
    return derived_id("notification", str(execution), seq, *([part] if part > 1 else []))


def contact_id(channel: str, address: str) -> uuid.UUID:
    """The id of a new contact with this canonical address."""
    return derived_id("contact", channel, address)


def conversation_id(channel: str, contact: str, *, medium: str | None = None, account: str | None = None) -> uuid.UUID:
    """The id of a new conversation with `contact` over `channel`. How its address is written makes no difference.

    `medium` is as in `canonical_address`; without it, the medium that the channel's id names. `account` is our own
    number, for a channel that has none of its own. A conversation that exists is found through its contact.
    """
    address = canonical_address(contact, medium or medium_of(channel))
    return derived_id("conversation", channel, address, *([account] if account else []))


def old_conversation_id(channel: str, contact: str) -> uuid.UUID:
    """The id that versions before 0.3 give to the conversation with `contact`."""
    return derived_id("conversation", channel, contact)


def callback_id(execution: uuid.UUID, place: str, count: int) -> uuid.UUID:
    """The id of the callback for which the node at `place` waits for the time number `count` (from 0)."""
    return derived_id("callback", str(execution), place, count)


def notification_id_of_key(key: str) -> uuid.UUID | None:
    """The id of the notification with this idempotency key: an `effect_key`, with `:part` if the step sends more than
    one. None for any other text."""
    execution, _, rest = key.partition(":")
    numbers = rest.split(":")
    if len(numbers) > 2 or not all(one.isascii() and one.isdigit() and len(one) <= 9 for one in numbers):
        return None
    try:
        return notification_id(uuid.UUID(execution), *(int(one) for one in numbers))
    except ValueError:
        return None


def effect_key(execution: uuid.UUID, seq: int) -> str:
    """The idempotency key of the effect of step `seq`. It is the same for every attempt."""
    return f"{execution}:{seq}"
