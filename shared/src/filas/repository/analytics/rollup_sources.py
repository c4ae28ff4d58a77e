"""What rollups count: one statement for each source of rows. `filas.models.analytics` states what each figure means.

Each statement has the parameters $1 and $2 (from and to), $3 (minute, hour, day) and $4 (the bounds of the histogram),
and returns rows (at, figure, subject, part, outcome, bucket, n, sum_ms). `bucket` is null where no time is measured.
Counts of several statements may be added, so a range may be read in parts.
"""

import re
from dataclasses import dataclass
from typing import Final

from filas.models.analytics import Figure

_COUNTED: Final = "width_bucket(ms, $4::float8[]) as bucket, count(*) as n, coalesce(sum(ms), 0) as sum_ms"
_BETWEEN: Final = re.compile(r"{([\w.]+?)\.\.([\w.]+?)}")


def _composed(statement: str) -> str:
    """The statement with `{counted}` replaced by the columns of a group, and `{a..b}` by the milliseconds from time `a`
    to time `b`: null if one of them is null, and at least 0, because the times may come from different clocks."""
    return _BETWEEN.sub(_milliseconds, statement.replace("{counted}", _COUNTED))


def _milliseconds(found: re.Match[str]) -> str:
    start, end = found.groups()
    measured = f"(extract(epoch from {end} - {start}) * 1000)::float8"
    return f"case when {end} > {start} then {measured} when {end} <= {start} then 0 end"


RECEIVED: Final = _composed("""
select date_trunc($3, received_at, 'UTC') as at, 'received' as figure, webhook_id as subject, '' as part, '' as outcome,
    null::integer as bucket, count(*) as n, 0::float8 as sum_ms
from events where received_at >= $1 and received_at < $2 and cardinality($4::float8[]) > 0
group by 1, 3""")

EVENTS: Final = _composed("""
with ended as materialized (
    select date_trunc($3, processed_at, 'UTC') as at, webhook_id, status, {received_at..processed_at} as ms
    from events where processed_at >= $1 and processed_at < $2
)
select at, 'events' as figure, webhook_id as subject, '' as part, status as outcome, {counted}
from ended group by 1, 3, 5, 6
union all
select at, 'queue-total', 'webhook-processing', '', '', {counted}
from ended group by 1, 6""")

EXECUTIONS: Final = _composed("""
with ended as materialized (
    select id, date_trunc($3, ended_at, 'UTC') as at, flow_id, status, turn, queued_at, started_at, ended_at
    from executions where ended_at >= $1 and ended_at < $2 and resumed_id is null
), timed as (
    select at, 'executions' as figure, flow_id as subject, '' as part, status as outcome,
        {started_at..ended_at} as ms
    from ended
    union all
    select at, 'queue-wait', 'flow-processing', '', '', {queued_at..started_at}
    from ended where started_at is not null
    union all
    select at, 'queue-run', 'flow-processing', '', '', {started_at..ended_at}
    from ended where started_at is not null and turn = 1
    union all
    select at, 'queue-total', 'flow-processing', '', '', {queued_at..ended_at}
    from ended where started_at is not null and turn = 1
)
select at, figure, subject, part, outcome, {counted}
from timed group by 1, 2, 3, 4, 5, 6""")

# An execution ends at its last step, or at the node where it was to start if it has none.
STEPS: Final = _composed("""
with ended as materialized (
    select id, date_trunc($3, ended_at, 'UTC') as at, flow_id, node_id, event_id, status
    from executions where ended_at >= $1 and ended_at < $2 and resumed_id is null
), visits as materialized (
    select e.at, e.flow_id, e.event_id, coalesce(s.node_id, e.node_id) as node_id, s.status, s.attempt, s.handle,
        s.started_at, s.ended_at, e.status as ending, coalesce(s.is_last, true) as is_last
    from ended e left join lateral (
        select node_id, status, attempt, handle, started_at, ended_at,
            lead(seq) over (order by seq) is null as is_last
        from steps where execution_id = e.id offset 0) s on true
), again as materialized (
    select at, flow_id, event_id, node_id from visits cross join generate_series(2, attempt) where attempt > 1
), timed as (
    select at, 'nodes' as figure, flow_id as subject, node_id as part, status as outcome, {started_at..ended_at} as ms
    from visits where status is not null
    union all
    select at, 'outputs', flow_id, node_id, handle, null from visits where handle is not null
    union all
    select at, 'endings', flow_id, node_id, ending, null from visits where is_last
    union all
    select e.at, r.figure, r.subject, r.part, '', null::float8
    from again e cross join lateral (values
        ('node-retries', e.flow_id, e.node_id), ('flow-retries', e.flow_id, ''),
        ('queue-retries', 'flow-processing', '')) as r (figure, subject, part)
    union all
    select e.at, 'webhook-retries', v.webhook_id, '', '', null
    from again e cross join lateral (select webhook_id from events where id = e.event_id offset 0) v
)
select at, figure, subject, part, outcome, {counted}
from timed group by 1, 2, 3, 4, 5, 6""")

# The event that a message answers is the last one that the execution had received when the message was created: its
# own, or that of the reply that resumed it. `coalesce` hides the times of earlier messages from their index by time:
# the planner would read it for each message, besides the index by execution.
NOTIFICATIONS: Final = _composed("""
with ended as materialized (
    select id, execution_id, seq, date_trunc($3, ended_at, 'UTC') as at, channel_id, status, created_at, ended_at
    from notifications where ended_at >= $1 and ended_at < $2
), answering as (
    select n.at, v.webhook_id, {v.received_at..n.ended_at} as ms
    from ended n cross join lateral (
        select o.webhook_id, o.received_at from (
            select e.event_id from executions e where e.id = n.execution_id
            union all
            select r.event_id from executions r where r.resumed_id = n.execution_id
        ) x cross join lateral (
            select webhook_id, received_at from events where id = x.event_id offset 0) o
        where o.received_at <= n.created_at
        order by o.received_at desc limit 1) v
    where n.status in ('sent', 'delivered', 'read') and not exists (
        select from notifications p
        where p.execution_id = n.execution_id and coalesce(p.created_at >= v.received_at
            and (p.created_at, p.seq, p.id) < (n.created_at, n.seq, n.id), false) offset 0)
), attempts as (
    select n.at, n.channel_id, n.created_at, a.attempt, a.started_at, a.ended_at
    from ended n cross join lateral (
        select attempt, started_at, ended_at from notification_attempts where notification_id = n.id offset 0) a
), timed as (
    select at, 'deliveries' as figure, channel_id as subject, status as outcome,
        {created_at..ended_at} as ms
    from ended
    union all
    select at, 'latency', webhook_id, '', ms from answering
    union all
    select at, 'queue-wait', 'notifications', '', {created_at..started_at}
    from attempts where attempt = 1
    union all
    select at, 'queue-run', 'notifications', '', {started_at..ended_at}
    from attempts where ended_at is not null
    union all
    select at, 'queue-total', 'notifications', '', {created_at..ended_at}
    from ended
    union all
    select at, 'channel-retries', channel_id, '', null from attempts where attempt > 1
    union all
    select at, 'queue-retries', 'notifications', '', null from attempts where attempt > 1
)
select at, figure, subject, '' as part, outcome, {counted}
from timed group by 1, 2, 3, 5, 6""")

REFUSALS: Final = _composed("""
select date_trunc($3, received_at, 'UTC') as at, 'refusals' as figure, coalesce(webhook_id, '') as subject, '' as part,
    reason as outcome, null::integer as bucket, count(*) as n, 0::float8 as sum_ms
from refusals where received_at >= $1 and received_at < $2 and cardinality($4::float8[]) > 0
group by 1, 3, 5""")

# Events that were processed at $1 or later and before $2, and received before $3: the minutes in which they were
# received. The write-behind backfill writes events long after they were received.
RECEIVED_EARLIER: Final = """
select distinct date_trunc('minute', received_at, 'UTC') as at
from events where processed_at >= $1 and processed_at < $2 and received_at < $3"""

NEXT_RECEIVED: Final = "select min(received_at) from events where received_at >= $1"
NEXT_EVENT: Final = "select min(processed_at) from events where processed_at >= $1"
NEXT_EXECUTION: Final = "select min(ended_at) from executions where ended_at >= $1"
NEXT_NOTIFICATION: Final = "select min(ended_at) from notifications where ended_at >= $1"
NEXT_REFUSAL: Final = "select min(received_at) from refusals where received_at >= $1"


@dataclass(frozen=True, slots=True)
class Source:
    """The rows of one table. `figures` are those that its statement returns, each with the only subject that belongs to
    this source (None: all). `next` returns the time of the first row from $1.

    `grows_only`: rows are deleted early, so a bucket that is built again keeps the larger counts.
    """

    name: str
    statement: str
    next: str
    figures: tuple[tuple[Figure, str | None], ...]
    grows_only: bool = False


SOURCES: Final = (
    Source("received", RECEIVED, NEXT_RECEIVED, (("received", None),)),
    Source("events", EVENTS, NEXT_EVENT, (("events", None), ("queue-total", "webhook-processing"))),
    Source(
        "executions",
        EXECUTIONS,
        NEXT_EXECUTION,
        (
            ("executions", None),
            ("queue-wait", "flow-processing"),
            ("queue-run", "flow-processing"),
            ("queue-total", "flow-processing"),
        ),
    ),
    # Apart from `executions`, so that an installation that has the figures of executions already counts what is newer
    # here for the executions that it still has.
    Source(
        "steps",
        STEPS,
        NEXT_EXECUTION,
        (
            ("nodes", None),
            ("outputs", None),
            ("endings", None),
            ("webhook-retries", None),
            ("flow-retries", None),
            ("node-retries", None),
            ("queue-retries", "flow-processing"),
        ),
    ),
    Source(
        "notifications",
        NOTIFICATIONS,
        NEXT_NOTIFICATION,
        (
            ("deliveries", None),
            ("latency", None),
            ("channel-retries", None),
            ("queue-retries", "notifications"),
            ("queue-wait", "notifications"),
            ("queue-run", "notifications"),
            ("queue-total", "notifications"),
        ),
    ),
    Source("refusals", REFUSALS, NEXT_REFUSAL, (("refusals", None),), grows_only=True),
)

WITHOUT_SUM: Final = frozenset(
    {"nodes", "outputs", "endings", "node-retries", "queue-wait", "queue-run", "queue-total", "queue-retries"}
)
"""The figures whose sum over all subjects means nothing."""
