"""The page of one flow: its heat map, its versions, what uses it, its saved tests and its last executions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.page_types import Download, Html, PageCall
from ingest.dashboard.pages.executions.execution_picture import MAX_SHOWN, node_names, type_word
from ingest.dashboard.pages.executions.relative_links import query_links
from ingest.dashboard.pages.flows.heat_map import ExecutionLinks, HeatMap, heat_map, heat_of
from ingest.dashboard.presentation.payload_text import document_text

PERIODS: Final = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
DEFAULT_PERIOD: Final = "24h"
TABS: Final = ("traffic", "versions", "uses", "tests", "executions")
EXECUTIONS: Final = 20
VERSIONS: Final = 20
TABLE_ROWS: Final = 60
"""How many nodes and edges the tables have unless the reader asks for all."""

ALL_NODES: Final = 1000


@dataclass(frozen=True, slots=True)
class Period:
    """The chosen period: a key of PERIODS or empty, the parameters of the API, and the options of `filas`."""

    name: str
    query: dict[str, str]
    options: tuple[str, ...]


async def show_flow(call: PageCall) -> Html:
    """Shows a flow; `tab` selects what is below its facts."""
    tab = call.query.get("tab", "")
    tab = tab if tab in TABS else TABS[0]
    version = call.query.get("version") if tab == TABS[0] else None
    flow = (await call.api.call("getFlow", path=call.path, query={"version": version})).data
    shown = {"traffic": _traffic, "versions": _versions, "uses": _uses, "tests": _tests, "executions": _executions}
    values = await shown[tab](call, flow)
    return call.render(
        "flows/flow.html",
        flow=flow,
        tab=tab,
        tabs=TABS,
        address=f"/dashboard/flows/{quote(flow.id, safe='')}",
        query_of=query_links(call),
        type_word=type_word,
        **values,
    )


def chosen_period(call: PageCall) -> Period:
    """The period of the query: `since` and `until`, or the name of one that ends now."""
    given = call.filters("since", "until")
    if given:
        options = tuple(part for name, value in given.items() for part in (f"--{name}", value))
        return Period("", given, options)
    name = call.query.get("period", DEFAULT_PERIOD)
    name = name if name in PERIODS else DEFAULT_PERIOD
    since = (datetime.now(UTC) - PERIODS[name]).isoformat(timespec="seconds")
    return Period(name, {"since": since}, ("--period", name))


async def _traffic(call: PageCall, flow: Any) -> dict[str, Any]:
    period = chosen_period(call)
    query = {**period.query, "version": str(flow.version)}
    traffic = await call.api.part("getFlowTraffic", path=call.path, query=query)
    links = ExecutionLinks(flow.id, period.query)
    chosen, most = call.query.get("node"), ALL_NODES if call.query.get("graph") == "all" else MAX_SHOWN
    picture: HeatMap | None = None
    rows: list[Any] = []
    edges: list[Any] = []
    if traffic.ok:
        picture = await heat_map(call, flow, traffic.data, links, most, chosen)
        rows = [one for one in traffic.data.nodes if one.in_version or one.visits or one.endings]
        edges = sorted(traffic.data.edges, key=lambda edge: -edge.count)
        if most != ALL_NODES:
            rows, edges = _busiest(rows)[:TABLE_ROWS], edges[:TABLE_ROWS]
    return {
        "period": period,
        "periods": PERIODS,
        "traffic": traffic,
        "picture": picture,
        "rows": rows,
        "edges": edges,
        "links": links,
        "names": node_names(flow.definition),
        "types": {
            str(node.get("id")): str(node.get("type")) for node in flow.definition["nodes"] if isinstance(node, dict)
        },
        "heat_of": heat_of,
        "chosen": next((node for node in rows if node.node_id == chosen), None),
        "copy_query": query,
    }


def _busiest(rows: Sequence[Any]) -> list[Any]:
    """The nodes, those with the most visits first if not all are shown."""
    return list(rows) if len(rows) <= TABLE_ROWS else sorted(rows, key=lambda node: -node.visits)


async def _versions(call: PageCall, _flow: Any) -> dict[str, Any]:
    query = {"limit": VERSIONS + 1, "cursor": call.query.get("cursor")}
    page = await call.api.part("listFlowVersions", path=call.path, query=query)
    return {"page": page, "versions": [] if not page.ok else await _with_changes(call, page.data)}


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version in the list. `changes` are its differences from version `earlier` in a few words: kinds with the names
    of what was added, removed or changed. `edges` is the number of edges that differ."""

    version: Any
    earlier: int | None = None
    changes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    edges: int = 0
    moved: bool = False
    problem: str = ""


async def _with_changes(call: PageCall, versions: Sequence[Any]) -> list[VersionRow]:
    """The rows of the versions. The last one is there only for the differences of the one after it."""
    found = []
    for version, earlier in zip(versions, [*versions[1:], None], strict=True):
        if earlier is None:
            found.append(VersionRow(version))
            continue
        path = {**call.path, "before": str(earlier.version), "after": str(version.version)}
        part = await call.api.part("compareFlowVersions", path=path)
        if part.problem is not None:
            found.append(VersionRow(version, earlier.version, problem=part.problem.detail))
            continue
        edges = sum(one.part == "edge" for one in part.data.differences)
        changes = changes_by_kind(part.data.differences)
        found.append(VersionRow(version, earlier.version, changes, edges, bool(part.data.moved)))
    return found[:VERSIONS]


def changes_by_kind(differences: Sequence[Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The names of nodes and variables by kind. A part with a field that was added has changed. The settings of the
    flow have no name."""
    names: dict[str, dict[str, None]] = {"added": {}, "removed": {}, "changed": {}}
    for one in differences:
        if one.part != "edge":
            names["changed" if one.field else one.kind][one.name] = None
    return tuple((kind, tuple(found)) for kind, found in names.items() if found)


async def _uses(call: PageCall, _flow: Any) -> dict[str, Any]:
    return {"uses": await call.api.part("getFlowUses", path=call.path)}


async def _tests(call: PageCall, _flow: Any) -> dict[str, Any]:
    return {"tests": await call.api.part("listFlowTests", path=call.path)}


async def _executions(call: PageCall, flow: Any) -> dict[str, Any]:
    return {"executions": await call.api.part("listExecutions", query={"flowId": flow.id, "limit": EXECUTIONS})}


async def export_version(call: PageCall) -> Download:
    """A version as a file, in the form that the import and `filas flows apply` read."""
    number = call.path["version"]
    if not number.isdigit():
        raise ApiProblem(404, "Not found", f"the flow has no version {number[:20]}")
    flow = (await call.api.call("getFlow", path={"id": call.path["id"]}, query={"version": number})).data
    return Download(document_text(flow.definition).encode(), f"{flow.id}-v{flow.version}.json")


async def export_test(call: PageCall) -> Download:
    """A saved test as a file, in the form that `filas flow test` reads."""
    saved = (await call.api.call("getSavedTest", path=call.path)).data
    text = document_text({"request": saved.request, "expect": saved.expect})
    return Download(text.encode(), f"{call.path['id']}-{saved.name}.json")
