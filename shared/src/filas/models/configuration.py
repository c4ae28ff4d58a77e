"""Webhooks, channels and flows as they are defined."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from filas.models.event_kinds import OtherKind
from filas.models.record import Record

UNREADABLE = "unreadable"
"""The authentication type of a webhook, and the type of a channel, whose row cannot be decoded: no such type exists, so
the webhook rejects its requests and the channel sends nothing."""


BodyMode = Literal["auto", "json", "form", "text"]
SignedBody = Literal["sent", "decoded"]

HeaderName = Annotated[str, msgspec.Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}(?!\n)$")]
HeaderValue = Annotated[str, msgspec.Meta(pattern=r"^[ -~]{0,1000}(?!\n)$")]
Origin = Annotated[str, msgspec.Meta(pattern=r"^https?://[A-Za-z0-9.:\[\]-]{1,255}(?!\n)$")]


class RateLimit(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `max` webhooks in `window_ms` milliseconds."""

    max: int = 100
    window_ms: int = 60_000


class Dedupe(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the duplicate key is: in a header, at a JMESPath in the body, or the SHA-256 of the body."""

    header: str | None = None
    path: str | None = None
    body: bool = False


class ConversationRule(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to find the conversation of an event: templates over `body`, `headers` and `queryParams`.

    The chat providers (`meta`, `telegram`, `slack`, `twilio`) supply every field that is left out. `accept` names the
    kinds of events besides content that start a flow (`filas.models.event_kinds`).

    `role` is what the events are. A `message` is something that the contact said: it answers an open question, or
    starts the flow if no execution of the conversation waits for a reply. An `event` (of a payment system, for example)
    always starts the flow. By default, the content of a provider and the events of a rule with `text` are messages.
    """

    channel: str | None = None
    contact: str | None = None
    text: str | None = None
    accept: tuple[OtherKind, ...] = ()
    role: Literal["message", "event"] | None = None


class WebhookResponse(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer to an accepted request, instead of the one that its sender expects."""

    status: Annotated[int, msgspec.Meta(ge=200, le=299)] = 200
    content_type: Annotated[str, msgspec.Meta(pattern=r"^[!-~ ]{1,200}(?!\n)$")] = "application/json"
    body: Annotated[str, msgspec.Meta(max_length=64 * 1024)] = ""
    headers: dict[HeaderName, HeaderValue] = msgspec.field(default_factory=dict)


class HandshakeRule(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request with the query parameter `query` is a handshake: its value is the answer, as text."""

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class FilterRule(Record, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`variable` (a template) compared by `operator` with `value` (JSON with templates), as in the node `condition`.
    `exact` and `locale`: how texts are compared, and how numbers in them are written."""

    variable: Annotated[str, msgspec.Meta(max_length=10_000)]
    operator: str
    value: Any = None
    exact: bool = False
    locale: str | None = None


class WebhookFilter(Record, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which events start something: those for which all (`and`) or any (`or`) of the rules match, or for which the CEL
    expression is true. Both read `body`, `headers`, `queryParams` and `message`. A missing operand is null."""

    logic: Literal["and", "or"] = "and"
    rules: Annotated[list[FilterRule], msgspec.Meta(max_length=100)] | None = None
    expression: Annotated[str, msgspec.Meta(max_length=10_000)] | None = None


class WebhookOptions(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The fields of a webhook that few webhooks have. They are stored in one column, so that a new one needs no
    migration. An older process ignores those that it does not know.

    `cors` lists the origins of the web pages that may send requests. `body` is how bodies are read: by their content
    type and content, or always in one way. `signed_body` is whether a compressed body is signed as it is sent, or as it
    was before.
    """

    response: WebhookResponse | None = None
    handshake: HandshakeRule | None = None
    cors: tuple[Origin, ...] = ()
    filter: WebhookFilter | None = None
    body: BodyMode = "auto"
    signed_body: SignedBody = "sent"


class Webhook(WebhookOptions, frozen=True, kw_only=True, omit_defaults=False):
    """An address that receives webhooks. `auth` holds the fields of its authentication type. Its secrets are stored
    encrypted (`enc:…`) or name environment variables (`env:…`), and are never shown.

    A webhook that is not `enabled` is answered with 404. A deleted webhook stays as a row without secrets, so that
    the caches of other processes see the deletion; nothing removes that row.
    """

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
    """Where messages are sent. `config` holds the fields of the channel's type. Its secrets are `enc:…` or `env:…`.

    A deleted channel stays as a row without its `config`, as a deleted webhook does.
    """

    id: str
    type: str
    config: dict[str, Any]
    revision: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None


class FlowVersion(Record, frozen=True, kw_only=True):
    """One immutable version of a flow. `definition` is what the author stored. `published`: new executions of the flow
    start in this version. Another version that is published replaces it. Versions are removed with their flow.
    `created_by` is the name of the key that stored it, None if it is not known."""

    flow_id: str
    version: int
    name: str
    definition: dict[str, Any]
    published: bool
    created_at: datetime
    created_by: str | None = None


class FlowDraft(Record, frozen=True, kw_only=True):
    """The definition that an editor keeps for a flow before it is published; it may have errors. `base_version`: the
    published version that it changes (0: none). `revision` grows with each save."""

    flow_id: str
    definition: dict[str, Any]
    revision: int
    base_version: int
    saved_by: str
    saved_at: datetime


class FlowTestCase(Record, frozen=True, kw_only=True):
    """A saved test of a flow: `request` is the input of a test run, `expect` what is expected of it."""

    flow_id: str
    name: str
    request: dict[str, Any]
    expect: dict[str, Any]
    saved_by: str
    saved_at: datetime


class FlowSummary(Record, frozen=True, kw_only=True):
    """A flow in a list, with its newest and its published version. `changed_by` is the name of the key that stored the
    newest one, None if it is not known."""

    id: str
    name: str
    latest_version: int
    published_version: int | None
    created_at: datetime
    updated_at: datetime
    changed_by: str | None = None
