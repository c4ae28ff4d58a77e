"""What refers to a flow, a channel or a secret: it is not deleted while a definition names it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated, Final, Literal

import msgspec

from filas.errors import FilasError
from filas.flows.checks import outside_uses
from filas.flows.definition import flow_definition
from filas.flows.nodes.node_data import Used
from filas.flows.templates.template import TemplateError
from filas.repository.definitions.references import FlowText
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.problems import ApiProblem
from ingest.api.routing.route_types import Query

MAX_SHOWN: Final = 100
"""The largest number of references that an answer lists."""

MAX_NAMED: Final = 5
"""How many of them its sentence names."""

PAGE: Final = 20


class DeleteQuery(Query, frozen=True, kw_only=True):
    """`force=true` deletes an object that other definitions refer to."""

    force: Annotated[bool, msgspec.Meta(description="Delete it although other definitions refer to it.")] = False


class ReferringDefinition(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A definition that refers to another one, with the field that does."""

    kind: Literal["webhook", "schedule", "flow", "alert"]
    id: str
    field: str
    node_id: str | None = None


async def delete_unused(
    context: ApiContext, kind: Used, name: str, delete: Callable[[], Awaitable[bool]], *, force: bool
) -> bool:
    """Calls `delete` and returns its result. Raises the 409 that lists what refers to the object, unless `force` is
    set; the transaction in which this is called then deletes nothing. No definition begins to refer to the object
    before that transaction ends."""
    await context.references.lock()
    if not await delete():
        return False
    if force:
        return True
    found: list[ReferringDefinition] = []
    async for one in references_to(context, kind, name):
        found.append(one)
        if len(found) == MAX_SHOWN:
            break
    if found:
        raise _in_use(kind, name, found)
    return True


def _in_use(kind: Used, name: str, found: Sequence[ReferringDefinition]) -> ApiProblem:
    named = [f"{one.kind} {one.id!r}" + (f" (node {one.node_id!r})" if one.node_id else "") for one in found]
    named = list(dict.fromkeys(named))
    more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
    detail = (
        f"{kind} {name!r} is used by {', '.join(named[:MAX_NAMED])}{more}: "
        "change or delete them first, or delete it with `?force=true`"
    )
    return ApiProblem(409, "Conflict", detail, references=msgspec.to_builtins(found))


async def references_to(context: ApiContext, kind: Used, name: str) -> AsyncIterator[ReferringDefinition]:
    """Yields what refers to the object: webhooks, schedules, alert rules, and flows in their published version."""
    rows = context.references
    if kind == "flow":
        for webhook_id in await rows.webhooks_of_flow(name, MAX_SHOWN):
            yield ReferringDefinition(kind="webhook", id=webhook_id, field="flowId")
        for schedule_id in await rows.schedules_of_flow(name, MAX_SHOWN):
            yield ReferringDefinition(kind="schedule", id=schedule_id, field="flowId")
    if kind == "channel":
        webhooks, _, _ = await context.webhooks.changed_since(0)
        for webhook in webhooks:
            if webhook.conversation is not None and webhook.conversation.channel == name:
                yield ReferringDefinition(kind="webhook", id=webhook.id, field="conversation.channel")
        for schedule_id in await rows.schedules_of_channel(name, MAX_SHOWN):
            yield ReferringDefinition(kind="schedule", id=schedule_id, field="conversation.channel")
        for rule in await context.alerts.rules():
            for number, target in enumerate(rule.to):
                if target.channel == name:
                    yield ReferringDefinition(kind="alert", id=rule.id, field=f"to[{number}].channel")
    async for one in _of_flows(context, kind, name):
        yield one


async def _of_flows(context: ApiContext, kind: Used, name: str) -> AsyncIterator[ReferringDefinition]:
    # The name of a secret is a part of a template. The id of a flow or a channel is the whole text of a field.
    text, last = name if kind == "secret" else f'"{name}"', ""
    while page := await context.references.flows_with(text, last, PAGE):
        # In a thread, because reading a large definition would block the event loop.
        for one in await asyncio.to_thread(_uses_in, page, kind, name):
            yield one
        last = page[-1].flow_id


def _uses_in(flows: Sequence[FlowText], kind: Used, name: str) -> list[ReferringDefinition]:
    found: list[ReferringDefinition] = []
    for flow_id, raw in flows:
        if kind == "flow" and flow_id == name:
            continue
        try:
            uses = list(outside_uses.uses(flow_definition.load(raw)))
        except (FilasError, TemplateError):
            # This version cannot read it, and its text has the name.
            found.append(ReferringDefinition(kind="flow", id=flow_id, field=""))
            continue
        found += [
            ReferringDefinition(kind="flow", id=flow_id, node_id=use.node_id, field=use.field)
            for use in uses
            if (use.kind, use.name) == (kind, name)
        ]
    return found
