"""The events of a request: one event, or one per message if a provider's body has several."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from filas.contract.event_envelope import DecodedEvent
from filas.contract.identity import content_key, event_id, new_id
from filas.memory_budget import size_in_memory
from filas.models.events import NewEvent
from ingest.event import body_parsing
from ingest.event.event_jobs import job_of_request
from ingest.http.error_answers import RejectedRequest
from ingest.providers.message import Part, ProviderAnswer
from ingest.receive import duplicate_keys
from ingest.receive.acceptor import IncomingEvent
from ingest.receive.webhook_cache import ReadyWebhook
from ingest.verify.scheme import ReceivedRequest

MAX_PARTS = 1000
MAX_GROWTH = 8
"""A body becomes one event per message: at most 1,000, which have together at most 8 times the body limit."""


FORM_FACTOR = 8
"""How many bytes a byte of a form or a text needs while it is parsed."""


class _Keys(NamedTuple):
    """What identifies an event: see `NewEvent`."""

    duplicate_key: str | None
    content_key: UUID | None
    content_digest: bytes | None


@dataclass(slots=True, kw_only=True)
class RequestReader:
    """Parses one authenticated request.

    `headers`, `query` and `content_type` are as they are stored, but a body that must be JSON has the type of JSON.
    `stated_key` is the duplicate key that the sender states. It precedes any key in the request. `is_signed`: the
    webhook's scheme has checked the request. `expected_answer` is set when the events are known.
    """

    ready: ReadyWebhook
    received_request: ReceivedRequest
    content_type: str
    headers: dict[str, str]
    query: dict[str, str | list[str]]
    address: str
    stated_key: str | None = None
    is_signed: bool = True
    expected_answer: ProviderAnswer | None = field(default=None, init=False)
    _signed_digest: str | None = field(default=None, init=False)

    def incoming_events(self) -> list[IncomingEvent]:
        """Returns the events to accept. Raises RejectedRequest (415, 413).

        Each part of a body is an event with its own body, duplicate key and conversation. If only some parts are new,
        only those are accepted as new.
        """
        ready, body = self.ready, self.received_request.body
        demands_json = ready.scheme is not None and ready.scheme.demands_json
        if demands_json and not body_parsing.is_json_type(self.content_type):
            self.content_type = body_parsing.JSON  # the row is parsed again by its content type
        try:
            whole = body_parsing.read(
                self.content_type, self.received_request.decoded, demands_json=demands_json, mode=ready.webhook.body
            )
        except body_parsing.UnreadableBody as error:
            raise RejectedRequest(415, "not-json", str(error)) from None
        if ready.provider is None:
            return [self._incoming_event(whole, body, None, None)]
        self.expected_answer = ready.provider.answer(whole.document)
        parts = iter(ready.provider.parts(whole.document))
        first, second = next(parts), next(parts, None)
        if second is None:
            return [self._incoming_event(whole, body, first, None)]
        self.headers.pop("content-encoding", None)  # the bodies of the parts are not compressed
        return self._events_of_parts(chain((first, second), parts))

    def _events_of_parts(self, parts: Iterable[Part]) -> list[IncomingEvent]:
        """Returns an event for each part. Raises RejectedRequest (413) as soon as the parts exceed their bounds."""
        events: list[IncomingEvent] = []
        left = MAX_GROWTH * self.ready.webhook.max_body_bytes
        for number, part in enumerate(parts):
            encoded = msgspec.json.encode(part.document)
            left -= len(encoded)
            if number == MAX_PARTS or left < 0:
                detail = f"body has more than {MAX_PARTS} messages, or they exceed {MAX_GROWTH} times its size limit"
                raise RejectedRequest(413, "too-large", detail)
            content = body_parsing.Content("json", part.document, msgspec.Raw(encoded))
            events.append(self._incoming_event(content, encoded, part, number))
        return events

    def _incoming_event(
        self, read: body_parsing.Content, body: bytes, part: Part | None, number: int | None
    ) -> IncomingEvent:
        """Returns the event of a request without parts, of a part that is the whole body, or of part `number`."""
        webhook = self.ready.webhook
        key, second_key, digest = self._keys(read, body, part, number)
        scope = {"body": read.document, "headers": self.headers, "queryParams": self.query}
        event = NewEvent(
            id=new_id() if key is None else event_id(webhook.id, key),
            webhook_id=webhook.id,
            flow_id=webhook.flow_id,
            node_id=webhook.node_id,
            method=self.received_request.method,
            headers=msgspec.json.encode(self.headers).decode(),
            query_params=msgspec.json.encode(self.query).decode(),
            body=body,
            content_type=self.content_type,
            remote_address=self.address,
            duplicate_key=key,
            group_key=self.ready.conversation.group(webhook.id, scope, part),
            config=self.ready.snapshot_json,
            received_at=datetime.fromtimestamp(self.received_request.now, UTC),
            content_key=second_key,
            content_digest=digest,
        )
        decoded = DecodedEvent(self.ready.snapshot, self.headers, self.query, read.kind, read.embedded)
        is_status = part is not None and part.is_status
        return IncomingEvent(event, lambda recorded: job_of_request(event, decoded, recorded=recorded), is_status)

    def _keys(self, read: body_parsing.Content, body: bytes, part: Part | None, number: int | None) -> _Keys:
        ready = self.ready
        key = self._duplicate_key(read.document, part, number)
        second_key, scheme = None, ready.scheme
        has_own_key = ready.duplicate_key is None and scheme is not None and scheme.own_key != "none"
        if ready.needs_content_key or (key is None and has_own_key):
            signed = self._digest_of_signed()
            if signed is not None and ready.needs_content_key:
                second_key = content_key(ready.webhook.id, signed, number)
            if signed is not None and key is None:
                key = f"sha256:{signed}" if number is None else f"sha256:{signed}#{number}"
        if key is None:
            return _Keys(None, None, None)
        return _Keys(key, second_key, duplicate_keys.content_digest(self._content(read, body, part)))

    def _digest_of_signed(self) -> str | None:
        scheme = self.ready.scheme
        if self._signed_digest is None and self.is_signed and scheme is not None:
            self._signed_digest = duplicate_keys.signed_digest(scheme, self.received_request)
        return self._signed_digest

    def _content(self, read: body_parsing.Content, body: bytes, part: Part | None) -> bytes:
        """Returns what the duplicate key identifies. Two attempts of one delivery have the same content."""
        if part is not None and part.content is not None:
            return msgspec.json.encode(part.content)
        if read.kind == "form":  # each attempt to send a multipart form has another boundary
            return msgspec.json.encode(read.document)
        return body if self.ready.scheme is None else self.ready.scheme.lasting_content(read.document, body)

    def _duplicate_key(self, document: Any, part: Part | None, number: int | None) -> str | None:
        """Returns the stated key, else the key by the webhook's `dedupe`, else the provider's key.

        A part adds its number to the first two.
        """
        ready = self.ready
        if self.stated_key is not None or ready.duplicate_key is not None:
            key = self.stated_key
            if key is None and ready.duplicate_key is not None:
                key = ready.duplicate_key(self.received_request, document)
            if key is not None and number is not None:
                key = f"{key}#{number}"
        else:
            found = part.key if part is not None else None
            key = (
                ready.scheme.duplicate_key(self.received_request, document, found)
                if ready.scheme is not None
                else found
            )
        return None if key is None else duplicate_keys.bounded(key)


def memory_to_parse(reader: RequestReader) -> int:
    """Returns an estimate of the bytes that the body takes while it is parsed."""
    body = reader.received_request.decoded
    demands_json = reader.ready.scheme is not None and reader.ready.scheme.demands_json
    if demands_json or body_parsing.is_json_type(reader.content_type):
        return size_in_memory(body)
    return len(body) * FORM_FACTOR
