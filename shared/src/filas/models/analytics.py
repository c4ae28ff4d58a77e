"""Figures over time: what each counts, and the answers of the API that contain them."""

from datetime import datetime, timedelta
from typing import Final, Literal

from filas.models.record import Record

Figure = Literal[
    "received",
    "events",
    "executions",
    "nodes",
    "outputs",
    "endings",
    "deliveries",
    "latency",
    "refusals",
    "queue-wait",
    "queue-run",
    "queue-total",
    "webhook-retries",
    "flow-retries",
    "node-retries",
    "channel-retries",
    "queue-retries",
]
"""A figure counts rows by subject and outcome, in the minute, hour or day of one of their times:

| figure        | counts                   | at the time when it     | by subject  | outcome | measures the time     |
|---------------|--------------------------|-------------------------|-------------|---------|-------------------------|
| `received`    | events                   | was received            | webhook     | none    | none                    |
| `events`      | events                   | was processed, ignored  | webhook     | status  | since it was received   |
|               |                          | or failed               |             |         |                         |
| `executions`  | executions               | ended                   | flow        | status  | since its first claim,  |
|               |                          |                         |             |         | with all waits          |
| `nodes`       | steps                    | their execution ended   | flow, node  | status  | of the step, with waits |
| `outputs`     | steps that left their    | their execution ended   | flow, node  | handle  | none                    |
|               | node by a handle         |                         |             |         |                         |
| `endings`     | executions, at the node  | ended                   | flow, node  | status  | none                    |
|               | of their last step       |                         |             |         |                         |
| `deliveries`  | notifications            | had its outcome (not a  | channel     | status  | since it was created,   |
|               |                          | later receipt)          |             |         | with retries and pauses |
| `latency`     | first messages that      | was sent                | webhook     | none    | since the event was     |
|               | answer an event          |                         |             |         | received                |
| `refusals`    | refused requests that    | was received            | webhook     | reason  | none                    |
|               | were recorded            |                         |             |         |                         |
| `queue-wait`  | jobs (see below)         | the row ended           | queue       | none    | until the first attempt |
| `queue-run`   | jobs (see below)         | the row ended           | queue       | none    | of the work             |
| `queue-total` | jobs (see below)         | the row ended           | queue       | none    | of both                 |
| `…-retries`   | attempts after the first | their execution or      | webhook,    | none    | none                    |
|               | one                      | message ended           | flow, node, |         |                         |
|               |                          |                         | channel,    |         |                         |
|               |                          |                         | queue       |         |                         |

An execution whose message resumed another execution ran nothing and is not counted. An event, execution or notification
that is replayed is counted once, with its last outcome.

The times of jobs come from the rows that the jobs are about:

| queue                | `queue-wait`              | `queue-run`                     | `queue-total`              |
|----------------------|---------------------------|---------------------------------|----------------------------|
| `webhook-processing` | not known                 | not known                       | receipt of the event until |
|                      |                           |                                 | it was processed           |
| `flow-processing`    | creation of the execution | first claim to end, of          | creation to end, of the    |
|                      | to its first claim        | executions that never waited    | same executions            |
| `notifications`      | creation of the message   | each attempt                    | creation to outcome        |
|                      | to its first attempt      |                                 |                            |

Retries are those of steps (`flow-retries`, `node-retries`, and `webhook-retries`: of the executions that an event of
the webhook started) and of messages (`channel-retries`). `queue-retries` has both, by their queues.
"""

Resolution = Literal["minute", "hour", "day"]

SubjectKind = Literal["webhook", "flow", "channel", "queue"]

SUBJECTS: Final[dict[Figure, SubjectKind]] = {
    "received": "webhook",
    "events": "webhook",
    "executions": "flow",
    "nodes": "flow",
    "outputs": "flow",
    "endings": "flow",
    "deliveries": "channel",
    "latency": "webhook",
    "refusals": "webhook",
    "queue-wait": "queue",
    "queue-run": "queue",
    "queue-total": "queue",
    "webhook-retries": "webhook",
    "flow-retries": "flow",
    "node-retries": "flow",
    "channel-retries": "channel",
    "queue-retries": "queue",
}

WITH_NODES: Final[frozenset[Figure]] = frozenset({"nodes", "outputs", "endings", "node-retries"})
"""The figures by flow and node."""

ONLY_COUNTED: Final[frozenset[Figure]] = frozenset(
    {"received", "webhook-retries", "flow-retries", "node-retries", "channel-retries", "queue-retries"}
)
"""The figures without outcomes and times."""

FAILED_OUTCOMES: Final = ("failed", "timed-out")
"""The outcomes of what has failed, of every figure."""

GroupOrder = Literal["count", "failures", "slowest"]
"""`count`: the largest first. `failures`: the most with an outcome of FAILED_OUTCOMES; the others are left out.
`slowest`: by the mean time; those without a time are left out."""

ALL: Final = "*"
"""The subject of the sum of all subjects. No webhook, flow or channel has this id."""

WIDTHS: Final[dict[Resolution, timedelta]] = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}


def bucket_of(resolution: Resolution, moment: datetime) -> datetime:
    """The start of the minute, hour or day (UTC) that contains `moment`, a time in UTC."""
    if resolution == "minute":
        return moment.replace(second=0, microsecond=0)
    if resolution == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


class Times(Record, frozen=True, kw_only=True):
    """The distribution of measured times, in milliseconds. All are None if nothing was measured.

    The percentiles are read from a histogram: they differ from the exact ones by less than factor 2.
    """

    measured: int
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class Totals(Record, frozen=True, kw_only=True):
    """How many, by outcome (an empty object without outcomes), and how long."""

    count: int
    outcomes: dict[str, int]
    times: Times


class Point(Totals, frozen=True, kw_only=True):
    """A minute, hour or day; `at` is its start."""

    at: datetime


class Group(Totals, frozen=True, kw_only=True):
    """One webhook, flow, channel or queue, or one node of a flow. An empty `subject`: no webhook has the path.
    `previous…`: of the period before."""

    subject: str
    node_id: str | None = None
    previous_count: int
    previous_outcomes: dict[str, int]


class Period(Record, frozen=True, kw_only=True):
    """From `since` to before `until`, in buckets of `step`. Rows after `built_until` may be missing; None: nothing was
    built yet."""

    step: Resolution
    since: datetime
    until: datetime
    built_until: datetime | None


class Comparison(Record, frozen=True, kw_only=True):
    """The period, and the one of the same length before it."""

    total: Totals
    previous: Totals


class Overview(Period, frozen=True, kw_only=True):
    """The sums of the figures that have one, by figure."""

    figures: dict[str, Comparison]


class Series(Period, frozen=True, kw_only=True):
    """A figure over time. `points` has every bucket, also the empty ones. `previous`: as in Comparison.
    `previous_points`, if they were asked for, are those of the period before, as many as `points`."""

    figure: Figure
    total: Totals
    previous: Totals
    points: list[Point]
    previous_points: list[Point] | None = None


class Groups(Period, frozen=True, kw_only=True):
    """A figure by subject, in the `order` of the request. `more`: there are further subjects."""

    figure: Figure
    groups: list[Group]
    more: bool
