"""The rows of a list of analytics: one webhook, flow, node, channel or queue."""

from collections.abc import Mapping
from dataclasses import dataclass

from filas.contract import policies
from filas.models.analytics import FAILED_OUTCOMES, Group, Groups
from ingest.dashboard.page_types import PageCall
from ingest.dashboard.pages.analytics.changes import Change, change_of_count
from ingest.dashboard.pages.analytics.figure_charts import failures_of, percent, success_of
from ingest.dashboard.pages.analytics.views import By


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `success` is None where there are no outcomes, or nothing. `retries` is None if it is not among the
    largest ones."""

    name: str
    node: str
    address: str
    count: int
    change: Change
    success: str | None
    failed: int
    failed_change: Change
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    retries: int | None


def entries_of(call: PageCall, by: By, groups: Groups, retries: Groups) -> list[Entry]:
    """Returns the rows of the groups, in their order."""
    found = {(one.subject, one.node_id): one.count for one in retries.groups}
    unknown = None if retries.more else 0
    return [_entry(call, by, one, found.get((one.subject, one.node_id), unknown)) for one in groups.groups]


def _entry(call: PageCall, by: By, one: Group, retries: int | None) -> Entry:
    share = success_of(one) if one.outcomes else None
    failed = failures_of(one)
    failed_before = _failures(one.previous_outcomes)
    return Entry(
        name=one.subject,
        node=one.node_id or "",
        address=_address(call, by, one),
        count=one.count,
        change=change_of_count(call.reader, one.count, one.previous_count),
        success=None if share is None else percent(call.reader, share),
        failed=failed,
        failed_change=change_of_count(call.reader, failed, failed_before, more_is_bad=True),
        mean_ms=one.times.mean_ms,
        p50_ms=one.times.p50_ms,
        p95_ms=one.times.p95_ms,
        retries=retries,
    )


def _failures(outcomes: Mapping[str, int]) -> int:
    return sum(outcomes.get(outcome, 0) for outcome in FAILED_OUTCOMES)


def _address(call: PageCall, by: By, one: Group) -> str:
    policy = policies.find(one.subject) if by == "queue" else None
    subject = one.subject if policy is None else policy.short
    return call.with_query(by=by, id=subject, node=one.node_id if by == "node" else None, order=None)
