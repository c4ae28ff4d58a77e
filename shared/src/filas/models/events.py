"""Accepted webhooks."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from filas.models.record import ErrorDetail, Record

EventStatus = Literal["received", "processed", "ignored", "failed"]
"""received: accepted, its job not done. processed: its executions exist. ignored: nothing in it starts a
flow (a delivery status, a handshake). failed: its job is a dead letter."""


class NewEvent(Record, frozen=True, kw_only=True):
    """A webhook about to be accepted. `headers` and `query_params` are JSON text, `body` the raw bytes.

    `config` is JSON text too: `{"provider":…,"conversation":…,"config":…}`, the webhook's own as they were at
    acceptance, so that the relay makes the same job from the row that acceptance made from the request.
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


class EventReceipt(Record, frozen=True, kw_only=True):
    """What became of a NewEvent: written now, or a duplicate of the event with the same id."""

    id: UUID
    duplicate: bool


class Event(Record, frozen=True, kw_only=True):
    """An accepted webhook. `body` is text where it is UTF-8, else base64 with `body_encoding` `base64`."""

    id: UUID
    webhook_id: str
    flow_id: str
    node_id: str
    status: EventStatus
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
