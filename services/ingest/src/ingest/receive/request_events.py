"""The events of a request: one, or one a message where a provider's body carries many."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from filas.contract.event_envelope import DecodedEvent
from filas.contract.identity import event_id, new_id
from filas.models.events import NewEvent
from ingest.event import body_parsing
from ingest.event.event_jobs import job_of_request
from ingest.http.error_answers import RejectedRequest
from ingest.providers.message import Part
from ingest.receive import duplicate_keys
from ingest.receive.acceptor import Arrival
from ingest.receive.webhook_cache import ReadyWebhook
from ingest.verify.scheme import Presented

MAX_PARTS = 1000
MAX_GROWTH = 8
"""A body of many messages becomes one event each (at most 1,000), together at most 8 times the body limit."""


@dataclass(slots=True, kw_only=True)
class Reader:
    """Reads one request whose sender is known. `headers` and `query` are as they are stored; `content_type` too,
    unless the body must be JSON whatever it says.

    `stated_key`: the duplicate key that the sender itself gives, before any that is found in the request.
    """

    ready: ReadyWebhook
    presented: Presented
    content_type: str
    headers: dict[str, str]
    query: dict[str, str | list[str]]
    address: str
    stated_key: str | None = None

    def arrivals(self) -> list[Arrival]:
        """What is to be accepted. Raises RejectedRequest (415, 413).

        Each part of a body is an event of its own, with a body of its own, and so has its own duplicate key,
        conversation and fate: a batch of which some messages are new is accepted for those.
        """
        ready, body = self.ready, self.presented.body
        demands_json = ready.scheme is not None and ready.scheme.demands_json
        if demands_json and not body_parsing.is_json_type(self.content_type):
            self.content_type = body_parsing.JSON  # so that whoever reads the row later reads the same
        try:
            whole = body_parsing.read(self.content_type, body, demands_json=demands_json)
        except body_parsing.UnreadableBody as error:
            raise RejectedRequest(415, "not-json", str(error)) from None
        if ready.provider is None:
            return [self._arrival(whole, body, None, None)]
        parts = ready.provider.parts(whole.document)
        if len(parts) == 1:
            return [self._arrival(whole, body, parts[0], None)]
        bodies = [msgspec.json.encode(part.document) for part in parts]
        if len(bodies) > MAX_PARTS or sum(map(len, bodies)) > MAX_GROWTH * ready.webhook.max_body_bytes:
            raise RejectedRequest(413, "too-large", f"a body may carry {MAX_PARTS} messages at most")
        return [
            self._arrival(body_parsing.Content("json", part.document, msgspec.Raw(encoded)), encoded, part, number)
            for number, (part, encoded) in enumerate(zip(parts, bodies, strict=True))
        ]

    def _arrival(self, read: body_parsing.Content, body: bytes, part: Part | None, number: int | None) -> Arrival:
        """The arrival of a request without parts, of a part that is the whole body, or of the part `number`."""
        webhook = self.ready.webhook
        key = self._duplicate_key(read.document, part, number)
        scope = {"body": read.document, "headers": self.headers, "queryParams": self.query}
        event = NewEvent(
            id=new_id() if key is None else event_id(webhook.id, key),
            webhook_id=webhook.id,
            flow_id=webhook.flow_id,
            node_id=webhook.node_id,
            method=self.presented.method,
            headers=msgspec.json.encode(self.headers).decode(),
            query_params=msgspec.json.encode(self.query).decode(),
            body=body,
            content_type=self.content_type,
            remote_address=self.address,
            duplicate_key=key,
            group_key=self.ready.conversation.group(webhook.id, scope, part),
            config=self.ready.snapshot_json,
            received_at=datetime.fromtimestamp(self.presented.now, UTC),
        )
        decoded = DecodedEvent(self.ready.snapshot, self.headers, self.query, read.kind, read.embedded)
        return Arrival(event, lambda recorded: job_of_request(event, decoded, recorded=recorded))

    def _duplicate_key(self, document: Any, part: Part | None, number: int | None) -> str | None:
        """As stated, else as the webhook's `dedupe` says, else as its provider does. To the first two a part adds
        its number."""
        ready = self.ready
        if self.stated_key is not None or ready.duplicate_key is not None:
            key = self.stated_key
            if key is None and ready.duplicate_key is not None:
                key = ready.duplicate_key(self.presented, document)
            if key is not None and number is not None:
                key = f"{key}#{number}"
        else:
            found = part.key if part is not None else None
            key = ready.scheme.duplicate_key(self.presented, document, found) if ready.scheme is not None else found
        return None if key is None else duplicate_keys.bounded(key)
