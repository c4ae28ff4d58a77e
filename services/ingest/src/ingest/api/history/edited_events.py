"""An event with another body, for a replay that was edited."""

from typing import Final
from uuid import UUID

import msgspec

from filas.models.configuration import Webhook
from filas.models.events import NewEvent
from filas.repository.postgres.json_columns import from_json, to_json
from ingest.api.routing.problems import invalid_field
from ingest.event import body_parsing
from ingest.event.event_jobs import body_mode, event_at_present

MAX_BODY_BYTES: Final = 1_048_576
"""The largest edited body of an event whose webhook no longer exists. It is the default of a webhook."""


def edited_event(event: NewEvent, text: str, edited_id: UUID, webhook: Webhook | None) -> NewEvent:
    """The event `edited_id`: the request of `event` with this body, by the present definition of the webhook.

    Raises the 422 for a body that the webhook would refuse.
    """
    changed = with_body_text(event, text)
    largest = MAX_BODY_BYTES if webhook is None else webhook.max_body_bytes
    if len(changed.body) > largest:
        raise invalid_field("bodyText", f"the body has {len(changed.body)} bytes; the webhook accepts {largest}")
    edited = msgspec.structs.replace(changed, id=edited_id, duplicate_key=None, replay=0, run=0)
    return edited if webhook is None else event_at_present(edited, webhook)


def with_body_text(event: NewEvent, text: str) -> NewEvent:
    """The event with this body, encoded as UTF-8 and without a content coding. Raises the 422 for a text that is no
    UTF-8, and for one that is not of the event's content type."""
    try:
        body = text.encode()
    except UnicodeEncodeError:
        raise invalid_field("bodyText", "a lone surrogate has no UTF-8; write it as an escape (\\ud800)") from None
    headers = {name: value for name, value in from_json(event.headers).items() if name != "content-encoding"}
    try:
        body_parsing.read(event.content_type, body, mode=body_mode(event))
    except body_parsing.UnreadableBody as error:
        raise invalid_field("bodyText", str(error)) from None
    return msgspec.structs.replace(event, body=body, headers=to_json(headers))
