"""The route of a flow's traffic: the figures of its nodes and edges, on one version of it."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec

from filas.flows.definition.node_handles import default_handles
from filas.models.configuration import FlowVersion
from filas.models.traffic import EdgeTraffic, FlowTraffic, NodeTraffic
from filas.repository.analytics.rollup_queries import Span
from filas.repository.analytics.traffic_queries import TrafficFigures
from ingest.api.history.analytics_routes import PeriodQuery, span_of
from ingest.api.routing.identifiers import existing_id
from ingest.api.routing.problems import not_found
from ingest.api.routing.route_types import Answer, Call, Route


class TrafficQuery(PeriodQuery, frozen=True, kw_only=True):
    """The period, as of the other figures, and the `version` whose nodes and edges are shown: by default the published
    one. The figures are those of all versions."""

    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None


async def get_flow_traffic(call: Call[None, TrafficQuery]) -> Answer:
    """Returns the traffic of a flow: its nodes with visits, failures, times and endings, and its edges."""
    flow_id = existing_id("flow", call.path["id"])
    span = span_of(call.query)
    version = await call.context.flows.get(flow_id, call.query.version)
    if version is None:
        raise not_found("flow", flow_id if call.query.version is None else f"{flow_id}, version {call.query.version}")
    figures = await call.context.history.traffic.figures(flow_id, span)
    # In a thread, because a large flow would block the event loop.
    return Answer(await asyncio.to_thread(traffic_of, version, span, figures))


def traffic_of(flow: FlowVersion, span: Span, figures: TrafficFigures) -> FlowTraffic:
    """Returns the figures on the nodes and edges of a version."""
    ids = list(dict.fromkeys(_node_ids(flow.definition)))
    known = set(ids)
    endings: dict[str, dict[str, int]] = {}
    executions: dict[str, int] = defaultdict(int)
    for place, counts in figures.endings.items():
        of_node = endings.setdefault(node_of(place, known), defaultdict(int))
        for status, count in counts.items():
            of_node[status] += count
            executions[status] += count
    waiting: dict[str, int] = defaultdict(int)
    for place, count in figures.waiting.items():
        waiting[node_of(place, known)] += count
    others = sorted({*figures.visits, *endings, *waiting} - known)
    return FlowTraffic(
        flow_id=flow.flow_id,
        version=flow.version,
        step=span.step,
        since=span.since,
        until=span.until,
        built_until=figures.built_until,
        executions=dict(sorted(executions.items())),
        edges_since=figures.edges_since,
        waiting_complete=figures.waiting_complete,
        nodes=[
            _node(name, name in known, figures, endings.get(name, {}), waiting.get(name, 0)) for name in [*ids, *others]
        ],
        edges=list(_edges(flow.definition, known, figures.outputs)),
    )


def node_of(place: str, known: set[str]) -> str:
    """Returns the node of the flow that a name in a trace belongs to: `pay` for `pay/check-card`."""
    found = place
    while found not in known and "/" in found:
        found = found.rpartition("/")[0]
    return found if found in known else place


def _node(
    name: str, in_version: bool, figures: TrafficFigures, endings: Mapping[str, int], waiting: int
) -> NodeTraffic:
    outcomes, times = figures.visits.get(name, {}), figures.times.get(name)
    return NodeTraffic(
        node_id=name,
        in_version=in_version,
        visits=sum(outcomes.values()),
        outcomes=dict(sorted(outcomes.items())),
        failures=outcomes.get("failed", 0),
        p50_ms=None if times is None else times.p50_ms,
        p95_ms=None if times is None else times.p95_ms,
        endings=dict(sorted(endings.items())),
        waiting=waiting,
    )


def _node_ids(definition: Mapping[str, Any]) -> Iterator[str]:
    for node in _objects(definition.get("nodes")):
        if isinstance(node.get("id"), str):
            yield node["id"]


def _edges(
    definition: Mapping[str, Any], known: set[str], outputs: Mapping[str, Mapping[str, int]]
) -> Iterator[EdgeTraffic]:
    handles = default_handles(definition)
    for edge in _objects(definition.get("edges")):
        source, target, handle = edge.get("source"), edge.get("target"), edge.get("sourceHandle")
        if isinstance(source, str) and isinstance(target, str) and source in known and target in known:
            left_by = handle if isinstance(handle, str) and handle else handles.get(source, "out")
            count = outputs.get(source, {}).get(left_by, 0)
            yield EdgeTraffic(source=source, source_handle=left_by, target=target, count=count)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/flows/{id}/traffic",
        handler=get_flow_traffic,
        role="viewer",
        summary="How often the nodes and edges of a flow were passed, how long, and where executions ended.",
        answer=FlowTraffic,
        query=TrafficQuery,
    ),
)
