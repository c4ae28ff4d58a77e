"""Webhooks, channels and flows, as they are configured."""

from datetime import datetime
from typing import Any

from filas.models.record import Record


class RateLimit(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `max` webhooks in `window_ms` milliseconds."""

    max: int = 100
    window_ms: int = 60_000


class Dedupe(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the duplicate key stands: a header, a JMESPath into the body, or the body's SHA-256."""

    header: str | None = None
    path: str | None = None
    body: bool = False


class ConversationRule(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to find the conversation in an event: templates over `body`, `headers` and `queryParams`.

    What is left out is known for the chat providers (`meta`, `telegram`, `slack`, `twilio`).
    """

    channel: str | None = None
    contact: str | None = None
    text: str | None = None


class Webhook(Record, frozen=True, kw_only=True):
    """An address at which webhooks are received. `auth` is as webhooks.md says; its secrets are encrypted
    (`enc:…`) or name environment variables (`env:…`) wherever they are stored, and are never shown."""

    id: str
    flow_id: str
    node_id: str
    path: str
    methods: list[str]
    auth: dict[str, Any]
    rate_limit: RateLimit
    dedupe: Dedupe | None
    conversation: ConversationRule | None
    config: dict[str, Any]
    max_body_bytes: int
    enabled: bool = True
    revision: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Channel(Record, frozen=True, kw_only=True):
    """Where messages go. `config` holds the type's own fields; its secret fields are `enc:…` or `env:…`."""

    id: str
    type: str
    config: dict[str, Any]
    revision: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None


class FlowVersion(Record, frozen=True, kw_only=True):
    """One immutable version of a flow; `definition` is what the author put."""

    flow_id: str
    version: int
    name: str
    definition: dict[str, Any]
    published: bool
    created_at: datetime


class FlowSummary(Record, frozen=True, kw_only=True):
    """A flow in a list: its newest and its published version."""

    id: str
    name: str
    latest_version: int
    published_version: int | None
    created_at: datetime
    updated_at: datetime
