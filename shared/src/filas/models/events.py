"""Accepted webhooks."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from filas.models.record import ErrorDetail, Record

EventStatus = Literal["received", "processed", "ignored", "failed"]
"""The status of an event:

| status      | meaning                       | moved to another status by                         | removed by      |
|-------------|-------------------------------|----------------------------------------------------|-----------------|
| `received`  | accepted, its job is not done | `ingest work`, when the job is done: `processed`   | never           |
|             |                               | or `ignored`; the dead letter of its job: `failed` |                 |
| `processed` | its executions exist          | a replay of the event or its dead letter:          | `ingest work`,  |
|             |                               | `received`                                         | retention       |
| `ignored`   | nothing in it starts a flow   | a replay of the event or its dead letter:          | `ingest work`,  |
|             | (`reason` states why)         | `received`                                         | retention       |
| `failed`    | its job is a dead letter      | a replay of the event or its dead letter:          | `ingest work`,  |
|             |                               | `received`; a job that ends after all: `processed` | retention       |
|             |                               | or `ignored`                                       |                 |

Retention counts from `received_at`. The relay enqueues the job of a `received` event again if the job is missing.
"""


class NewEvent(Record, frozen=True, kw_only=True):
    """A webhook that is about to be accepted. `headers` and `query_params` are JSON text, `body` is the raw bytes.

    `config` is the JSON text of a `contract.event_envelope.WebhookSnapshot`: the webhook's definition as it was at
    acceptance, so that the relay makes the same job from the row that acceptance makes from the request.

    `content_key` is the second duplicate key, for a sender whose signature does not cover `duplicate_key`.
    `content_digest` is a digest of what `duplicate_key` identifies. Both are set at acceptance and not read again.

    `replay` is the number of the event's newest replay, and `run` how many replays began after the event had been
    processed. Both are 0 at acceptance.
    """

    id: UUID
    webhook_id: str
    flow_id: str
    node_id: str
    method: str
    headers: str
    query_params: str
    body: bytes
    content_type: str
    remote_address: str
    duplicate_key: str | None
    group_key: str | None
    config: str
    received_at: datetime
    content_key: UUID | None = None
    content_digest: bytes | None = None
    replay: int = 0
    run: int = 0


class EventReceipt(Record, frozen=True, kw_only=True):
    """The outcome of writing a NewEvent.

    `duplicate`: an event with the same id or the same content key was stored before, and `id` is that event's.
    `conflict`: that event has the same id, and another content digest. `unfinished`: that event has the same id, was
    never replayed and is not processed yet.
    """

    id: UUID
    duplicate: bool
    conflict: bool = False
    unfinished: bool = False


class SeenDuplicates(Record, frozen=True, kw_only=True):
    """The duplicates of an event: how many, how many of them with another content, and when the first and last came."""

    event_id: UUID
    count: int
    conflicts: int
    first_at: datetime
    last_at: datetime


class Event(Record, frozen=True, kw_only=True):
    """An accepted webhook. `reason` is why the event is `ignored`, such as `kind:reaction`, or why its execution has
    no conversation (`no-contact`, `no-channel`). `body` is the text if it is
    UTF-8, otherwise base64 with `body_encoding` `base64`. `replay` is the number of its newest
    replay. `replay_of`: the event whose request it repeats with an edited body."""

    id: UUID
    webhook_id: str
    flow_id: str
    node_id: str
    status: EventStatus
    reason: str | None = None
    method: str
    headers: dict[str, Any]
    query_params: dict[str, Any]
    body: str
    body_encoding: Literal["utf-8", "base64"]
    content_type: str
    remote_address: str
    duplicate_key: str | None
    error: ErrorDetail | None
    received_at: datetime
    processed_at: datetime | None
    replay: int = 0
    replay_of: UUID | None = None
