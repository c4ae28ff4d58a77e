"""The fields of the events that start a flow, as the last event of each of its webhooks has them."""

import asyncio
from typing import Final
from uuid import UUID

from filas.flows import names_in_scope
from filas.flows.names_in_scope import NameInScope
from filas.repository.event_filter import EventFilter
from ingest.api.routing.api_context import ApiContext
from ingest.event import event_jobs

MAX_WEBHOOKS: Final = 3
MAX_BYTES: Final = 64 * 1024
"""The fields of a larger body are not read: the check of a flow runs while its author types."""


async def known_fields(context: ApiContext, flow_id: str) -> list[NameInScope]:
    """Returns the names of the fields, each once, without any value. Raises StoreUnavailable."""
    stored, _, _ = await context.webhooks.changed_since(0)
    webhooks = [webhook.id for webhook in stored if webhook.flow_id == flow_id][:MAX_WEBHOOKS]
    found: dict[str, NameInScope] = {}
    for webhook_id in webhooks:
        page = await context.history.events.search(EventFilter(webhook_id=webhook_id), limit=1)
        for event in page.items:
            for name in await _fields(context, event.id, webhook_id):
                found.setdefault(name.name, name)
    return list(found.values())


async def _fields(context: ApiContext, event_id: UUID, webhook_id: str) -> list[NameInScope]:
    event = await context.history.events.get_accepted(event_id)
    if event is None or len(event.body) > MAX_BYTES:
        return []
    content = await asyncio.to_thread(event_jobs.read_body, event)
    detail = f"A field of the last event of webhook {webhook_id} ({{}})."
    return names_in_scope.fields_of_body(content.document, detail)
