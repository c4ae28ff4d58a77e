"""The routes of analytics: figures over time, by subject, and compared with the period before."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec

from filas.models.analytics import (
    SUBJECTS,
    WIDTHS,
    WITH_NODES,
    Figure,
    GroupOrder,
    Groups,
    Overview,
    Resolution,
    Series,
    bucket_of,
)
from filas.repository.analytics.rollup_queries import Span
from ingest.api.history.figure_tables import groups_csv, series_csv
from ingest.api.routing.identifiers import named_queue
from ingest.api.routing.moments import Moment
from ingest.api.routing.problems import invalid_field, not_found
from ingest.api.routing.route_types import Answer, Call, Limit, Query, Route, Word

DEFAULT_PERIOD: Final = timedelta(hours=1)
LONGEST_PERIOD: Final = timedelta(days=731)
MAX_POINTS: Final = 3000

_FINEST: Final[tuple[tuple[Resolution, timedelta, timedelta], ...]] = (
    ("minute", timedelta(hours=6), timedelta(days=2)),
    ("hour", timedelta(days=8), timedelta(days=14)),
)
"""Steps with the longest period for which each is the default, and how long their buckets are kept by default."""

_FIELDS: Final = {"webhook": "webhookId", "flow": "flowId", "channel": "channelId", "queue": "queue"}


class PeriodQuery(Query, frozen=True, kw_only=True):
    """The period: from `since` (an hour before `until`) to before `until` (now), in whole buckets of `step`."""

    since: Moment | None = None
    until: Moment | None = None
    step: Annotated[
        Resolution | None,
        msgspec.Meta(description="Of the buckets; by default minutes up to 6 hours, hours up to 8 days, else days."),
    ] = None


Format = Annotated[Literal["json", "csv"], msgspec.Meta(description="`csv`: the figures as text/csv.")]


class SubjectQuery(PeriodQuery, frozen=True, kw_only=True):
    """The period, and the subject: only the parameter that fits the figure may be given."""

    webhook_id: Word | None = None
    flow_id: Word | None = None
    node_id: Annotated[Word | None, msgspec.Meta(description="Of the figures of nodes, together with `flowId`.")] = None
    channel_id: Word | None = None
    queue: Word | None = None
    format: Format = "json"


class SeriesQuery(SubjectQuery, frozen=True, kw_only=True):
    """As above."""

    previous: Annotated[bool, msgspec.Meta(description="Also the points of the period before.")] = False


class GroupsQuery(SubjectQuery, frozen=True, kw_only=True):
    """As above; `nodeId` does not apply."""

    order: Annotated[
        GroupOrder, msgspec.Meta(description="The largest, the most failures, or the longest mean time first.")
    ] = "count"
    limit: Limit = 50


async def get_analytics(call: Call[None, PeriodQuery]) -> Answer:
    """Returns the totals of the figures, and those of the period before."""
    return Answer(await call.context.history.analytics.overview(span_of(call.query)))


async def get_figure(call: Call[None, SeriesQuery]) -> Answer:
    """Returns a figure over time."""
    figure, query = _figure(call.path["figure"]), call.query
    subject = _subject(figure, query)
    if query.node_id is not None and figure not in WITH_NODES:
        raise invalid_field("nodeId", "only for the figures of nodes, together with flowId")
    if figure in WITH_NODES and subject is None:
        raise invalid_field("flowId", f"the figure {figure} is that of one flow; /groups has the nodes of all flows")
    found = await call.context.history.analytics.series(
        figure, span_of(query), subject=subject, part=query.node_id, with_previous=query.previous
    )
    return Answer(series_csv(found) if query.format == "csv" else found)


async def get_figure_groups(call: Call[None, GroupsQuery]) -> Answer:
    """Returns a figure by webhook, flow, node, channel or queue."""
    figure, query = _figure(call.path["figure"]), call.query
    if query.node_id is not None:
        raise invalid_field("nodeId", "the groups of a flow are its nodes: use flowId alone")
    subject, span = _subject(figure, query), span_of(query)
    found = await call.context.history.analytics.groups(
        figure, span, subject=subject, limit=query.limit, order=query.order
    )
    return Answer(groups_csv(found) if query.format == "csv" else found)


def _figure(name: str) -> Figure:
    for figure in SUBJECTS:
        if figure == name:
            return figure
    raise not_found("figure", name)


def _subject(figure: Figure, query: SubjectQuery) -> str | None:
    """Returns the subject. Raises the 422 for a parameter that does not fit the figure."""
    fitting = _FIELDS[SUBJECTS[figure]]
    given = {
        "webhookId": query.webhook_id,
        "flowId": query.flow_id,
        "channelId": query.channel_id,
        "queue": query.queue,
    }
    for name, value in given.items():
        if value is not None and name != fitting:
            raise invalid_field(name, f"the figure {figure} is by {SUBJECTS[figure]}: use {fitting}")
    subject = given[fitting]
    if subject is None or fitting != "queue":
        return subject
    return named_queue(subject).name


def span_of(query: PeriodQuery) -> Span:
    """Returns the period in whole buckets. Raises the 422 for a period that is empty, too long or too fine."""
    now = datetime.now(UTC)
    until = now if query.until is None else query.until.astimezone(UTC)
    try:
        since = until - DEFAULT_PERIOD if query.since is None else query.since.astimezone(UTC)
    except OverflowError:
        raise invalid_field("until", "there is no hour before it") from None
    if since >= until:
        raise invalid_field("since", "it must be before `until`")
    if until - since > LONGEST_PERIOD:
        raise invalid_field("since", f"the period is longer than {LONGEST_PERIOD.days} days")
    step = query.step or _default_step(now, since, until)
    width = WIDTHS[step]
    if (until - since) / width > MAX_POINTS:
        raise invalid_field("step", f"the period has more than {MAX_POINTS} of this step")
    try:
        first, last = bucket_of(step, since), bucket_of(step, until)
        last = last + width if last < until else last
        Span(step, first, last).before()
    except OverflowError:
        raise invalid_field("since", "the period before it is outside of the years 1 to 9999") from None
    return Span(step, first, last)


def _default_step(now: datetime, since: datetime, until: datetime) -> Resolution:
    for step, longest, kept in _FINEST:
        # A period that ends now is a little longer when the request arrives.
        if until - since <= longest + WIDTHS[step] and now - since <= kept:
            return step
    return "day"


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/analytics",
        handler=get_analytics,
        role="viewer",
        summary="The totals of the figures over a period, and of the period before.",
        answer=Overview,
        query=PeriodQuery,
    ),
    Route(
        method="GET",
        path="/analytics/{figure}",
        handler=get_figure,
        role="viewer",
        summary="A figure over time: of all, or of one webhook, flow, node, channel or queue.",
        answer=Series,
        query=SeriesQuery,
        csv=True,
    ),
    Route(
        method="GET",
        path="/analytics/{figure}/groups",
        handler=get_figure_groups,
        role="viewer",
        summary="A figure by webhook, flow, node, channel or queue, ordered.",
        answer=Groups,
        query=GroupsQuery,
        csv=True,
    ),
)
