"""The routes of the list of flows, with what each did in the last day, and of what uses a flow."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec

from filas.errors import FilasError
from filas.flows.checks import outside_uses
from filas.flows.definition import flow_definition
from filas.flows.templates.template import TemplateError
from filas.models.analytics import bucket_of
from filas.models.configuration import FlowSummary
from ingest.api.definitions.references import MAX_SHOWN, ReferringDefinition, references_to
from ingest.api.routing.identifiers import existing_id
from ingest.api.routing.problems import not_found
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route, Word

HOURS: Final = 24


class FlowsQuery(PageQuery, frozen=True, kw_only=True):
    """`text` is a part of the id or the name, in upper or lower case."""

    text: Word | None = None
    details: Annotated[bool, msgspec.Meta(description="Also `startedBy` and `activity` of each flow.")] = False


class StartedBy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A webhook or a schedule that starts the flow."""

    kind: Literal["webhook", "schedule"]
    id: str


class FlowActivity(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The executions that ended in the last 24 hours, of which `failed` failed or timed out. `hours` and `failed_hours`
    are their numbers in each clock hour, the oldest first; the last one is not over."""

    executions: int
    failed: int
    hours: list[int]
    failed_hours: list[int]


class ListedFlow(FlowSummary, frozen=True, kw_only=True):
    """A flow in the list. `started_by` and `activity` are null without `details`."""

    started_by: list[StartedBy] | None = None
    activity: FlowActivity | None = None


class FlowUse(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that the flow uses: another flow, a channel or a secret, with the node and the field that name it."""

    kind: Literal["flow", "channel", "secret"]
    name: str
    node_id: str | None
    field: str


class FlowUses(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`used_by`: what refers to the flow, at most 100. `uses`: what its published version refers to, or else the newest
    one."""

    used_by: list[ReferringDefinition]
    uses: list[FlowUse]


async def list_flows(call: Call[None, FlowsQuery]) -> Answer:
    """Lists flows by id, without their definitions."""
    page = await call.context.flows.list(call.query.cursor, call.query.limit, call.query.text)
    if not call.query.details:
        return Answer([ListedFlow(**msgspec.structs.asdict(flow)) for flow in page.items], page.next_cursor)
    return Answer(await _detailed(call, page.items), page.next_cursor)


async def _detailed(call: Call[None, FlowsQuery], flows: Sequence[FlowSummary]) -> list[ListedFlow]:
    ids = [flow.id for flow in flows]
    last = bucket_of("hour", datetime.now(UTC))
    hours = [last - timedelta(hours=age) for age in reversed(range(HOURS))]
    starting = await call.context.references.starting(ids)
    activity = await call.context.history.traffic.activity(ids, hours)
    found = []
    for flow in flows:
        counts = {one.at: one for one in activity[flow.id]}
        by_hour = [counts[at].executions if at in counts else 0 for at in hours]
        failed = [counts[at].failed if at in counts else 0 for at in hours]
        found.append(
            ListedFlow(
                **msgspec.structs.asdict(flow),
                started_by=[StartedBy(kind=one.kind, id=one.id) for one in starting if one.flow_id == flow.id],
                activity=FlowActivity(executions=sum(by_hour), failed=sum(failed), hours=by_hour, failed_hours=failed),
            )
        )
    return found


async def get_flow_uses(call: Call[None, Query]) -> Answer:
    """Returns what refers to a flow, and what it refers to."""
    flow_id = existing_id("flow", call.path["id"])
    version = await call.context.flows.get(flow_id)
    if version is None:
        raise not_found("flow", flow_id)
    used_by: list[ReferringDefinition] = []
    async for one in references_to(call.context, "flow", flow_id):
        used_by.append(one)
        if len(used_by) == MAX_SHOWN:
            break
    return Answer(FlowUses(used_by=used_by, uses=_uses(version.definition)))


def _uses(definition: dict[str, Any]) -> list[FlowUse]:
    try:
        found = list(outside_uses.uses(flow_definition.load(definition)))
    except (FilasError, TemplateError):
        return []  # an older version stored what this one cannot read
    return [FlowUse(kind=use.kind, name=use.name, node_id=use.node_id, field=use.field) for use in found]


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/flows",
        handler=list_flows,
        role="viewer",
        summary="The flows, without their definitions.",
        answer=list[ListedFlow],
        query=FlowsQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/flows/{id}/uses",
        handler=get_flow_uses,
        role="viewer",
        summary="What refers to a flow, and the flows, channels and secrets that it refers to.",
        answer=FlowUses,
        query=Query,
    ),
)
