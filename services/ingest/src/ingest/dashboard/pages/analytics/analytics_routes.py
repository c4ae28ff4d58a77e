"""The page of analytics: all figures, those by webhook, flow, node, channel or queue, and those of one of them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, get_args
from urllib.parse import quote

from filas.contract import policies
from filas.models.analytics import SUBJECTS, Figure, GroupOrder
from ingest.api.routing.problems import ApiProblem, invalid_field
from ingest.dashboard.page_types import Download, Html, PageCall, PageRoute, Part
from ingest.dashboard.pages.analytics.entries import Entry, entries_of
from ingest.dashboard.pages.analytics.figure_charts import Chart, chart_of
from ingest.dashboard.pages.analytics.periods import LENGTHS, ChosenPeriod, chosen_period
from ingest.dashboard.pages.analytics.views import OVERVIEW, RANKED, VIEWS, By, ChartKind

LIST: Final = "/dashboard/analytics"
MOST_RANKED: Final = 5
MOST_ENTRIES: Final = 50
MOST_RETRIES: Final = 500
ORDERS: Final = get_args(GroupOrder)


async def show_analytics(call: PageCall) -> Html:
    """Shows the overview, the list of one kind (`by`), or one entry (`by` and `id`, of a node also `node`)."""
    period = chosen_period(call, datetime.now(UTC))
    by = _by(call)
    subject = call.query.get("id", "")
    values: dict[str, Any] = {
        "period": period,
        "lengths": tuple(LENGTHS),
        "kinds": tuple(VIEWS),
        "by": by,
        "subject": subject,
        "node": call.query.get("node", ""),
        "label": _label(by, subject),
        "orders": ORDERS,
        "csv_address": lambda figure, groups=False: _csv_address(call, figure, groups=groups),
        "view": None if by is None else VIEWS[by],
    }
    if by is None:
        return await _overview(call, period, values)
    if not subject:
        order = call.query.get("order", "count")
        listed, entries = await _entries(call, by, period, order if order in ORDERS else "count")
        return call.render("analytics/list.html", **values, listed=listed, entries=entries, order=order)
    return await _subject(call, by, period, values)


async def _overview(call: PageCall, period: ChosenPeriod, values: dict[str, Any]) -> Html:
    charts, *ranked = await asyncio.gather(
        _charts(call, OVERVIEW, dict(period.query)),
        *(_entries(call, by, period, order, limit=MOST_RANKED) for by, order in RANKED),
    )
    lists = [(by, order, *found) for (by, order), found in zip(RANKED, ranked, strict=True)]
    return call.render("analytics/overview.html", **values, **charts, lists=lists)


async def _subject(call: PageCall, by: By, period: ChosenPeriod, values: dict[str, Any]) -> Html:
    view, subject, node = VIEWS[by], values["subject"], values["node"]
    of_subject = {**period.query, view.parameter: subject, **({"nodeId": node} if by == "node" else {})}
    if by == "node" and not node:
        raise invalid_field("node", "the id of a node is missing")
    reads: list[Any] = [_charts(call, view.charts, of_subject)]
    if by == "flow":
        reads.append(_entries(call, "node", period, "failures", flow=subject, limit=MOST_ENTRIES))
    charts, *nodes = await asyncio.gather(*reads)
    options = (view.listed, view.option, subject, *(("--node", node) if by == "node" else ()), *period.options)
    return call.render(
        "analytics/subject.html",
        **values,
        **charts,
        nodes=nodes[0] if nodes else None,
        asked=of_subject,
        options=options,
    )


async def _charts(call: PageCall, kinds: Sequence[ChartKind], query: dict[str, Any]) -> dict[str, Any]:
    """Returns the charts, and the first part that cannot be shown. Each figure is read once."""
    figures = list(dict.fromkeys(figure for kind in kinds for figure in kind.figures))
    asked = query | {"previous": True}
    parts = await asyncio.gather(
        *(call.api.part("getFigure", path={"figure": figure}, query=asked) for figure in figures)
    )
    found: dict[Figure, Part] = dict(zip(figures, parts, strict=True))
    missing = next((part for part in parts if not part.ok), None)
    charts: list[Chart] = []
    if missing is None:
        charts = [chart_of(call.reader, kind, [found[figure].data for figure in kind.figures]) for kind in kinds]
    built = [part.data.built_until for part in parts if part.ok]
    return {
        "charts": charts,
        "missing": missing,
        "first": parts[0].data if parts[0].ok else None,
        "built_until": min((one for one in built if one is not None), default=None) if built else None,
    }


async def _entries(
    call: PageCall, by: By, period: ChosenPeriod, order: str, *, flow: str = "", limit: int = MOST_ENTRIES
) -> tuple[Part, list[Entry]]:
    """Returns the groups of a kind with their retries, and the part of the API that has them."""
    view = VIEWS[by]
    query = {**period.query, **({view.parameter: flow} if flow else {})}
    listed, retries = await asyncio.gather(
        call.api.part("getFigureGroups", path={"figure": view.listed}, query={**query, "order": order, "limit": limit}),
        call.api.part("getFigureGroups", path={"figure": view.retries}, query={**query, "limit": MOST_RETRIES}),
    )
    if not listed.ok or not retries.ok:
        return (listed if not listed.ok else retries), []
    return listed, entries_of(call, by, listed.data, retries.data)


async def download_csv(call: PageCall) -> Download:
    """Returns a figure as CSV: over time, or by subject with `groups`."""
    figure = call.query.get("figure", "")
    if figure not in SUBJECTS:
        raise ApiProblem(404, "Not found", f"there is no figure {figure[:100]!r}")
    query: dict[str, Any] = {**chosen_period(call, datetime.now(UTC)).query, "format": "csv"}
    by = _by(call)
    if by is not None and call.query.get("id"):
        query[VIEWS[by].parameter] = call.query["id"]
        query["nodeId"] = call.query.get("node") if by == "node" else None
    operation = "getFigureGroups" if call.query.get("groups") else "getFigure"
    table = (await call.api.call(operation, path={"figure": figure}, query=query)).data
    return Download(table.text.encode("utf-8", "replace"), f"{figure}.csv")


def _by(call: PageCall) -> By | None:
    for by in VIEWS:
        if by == call.query.get("by"):
            return by
    return None


def _label(by: By | None, subject: str) -> str:
    """The name of the entry: of a queue its long one."""
    policy = policies.find(subject) if by == "queue" else None
    return subject if policy is None else policy.name


def _csv_address(call: PageCall, figure: str, *, groups: bool) -> str:
    parts = {"figure": figure, "groups": "1" if groups else ""}
    parts |= {name: call.query.get(name, "") for name in ("period", "since", "until", "by", "id", "node")}
    return f"{LIST}/csv?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in parts.items() if value)


ROUTES: Final = (
    PageRoute("GET", "/analytics", show_analytics),
    PageRoute("GET", "/analytics/csv", download_csv),
)
