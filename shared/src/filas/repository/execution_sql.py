"""The statements of the table `executions`: each whole batch is one statement, one transaction, one round trip.

Rows are locked in the order of their ids, so that two batches that share rows wait for one another instead
of in a circle.
"""

from typing import Final

# $1-$2: each event with the status that it gets. $3-$10: the executions. A row without an id names an event
# that could not start for want of a published version. An execution that was there before is given only if
# its turn is still to be had: the job of a turn that waits for its time must not be put before that.
START_MANY: Final = """
with starting as (
    select event_id, status from unnest($1::uuid[], $2::text[]) as s (event_id, status)
), new as (
    select * from unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::text[],
        $10::json[]) as n (id, event_id, flow_id, node_id, conversation_id, channel, contact, trigger)
), published as (
    select id, published_version from flows
    where id = any ($5::text[]) and published_version is not null
    order by id for key share
), existing as (
    select e.id, e.event_id, e.turn, e.flow_id, e.conversation_id, e.status, e.channel, e.contact, e.ready_at
    from executions e where e.id = any ($3::uuid[])
), missing as (
    select distinct n.event_id from new n
    where not exists (select from published p where p.id = n.flow_id)
        and not exists (select from existing e where e.id = n.id)
), conversed as (
    insert into conversations (id, channel, contact)
    select distinct on (conversation_id) conversation_id, channel, contact from new
    where conversation_id is not null and event_id not in (select event_id from missing)
    order by conversation_id
    on conflict do nothing
), inserted as (
    insert into executions (id, flow_id, version, node_id, event_id, conversation_id, channel, contact, trigger,
        ready_at, queued_at)
    select n.id, n.flow_id, p.published_version, n.node_id, n.event_id, n.conversation_id, n.channel, n.contact,
        n.trigger, now(), now()
    from new n join published p on p.id = n.flow_id
    where n.event_id not in (select event_id from missing)
    order by n.id
    on conflict (id) do nothing
    returning id, event_id, turn, flow_id, conversation_id, status, channel, contact, ready_at
), ended as (
    select e.id from events e join starting s on s.event_id = e.id
    where e.status in ('received', 'failed') and e.id not in (select event_id from missing)
    order by e.id for update of e
), marked as (
    update events e set status = s.status, processed_at = now(), error = null
    from starting s join ended on ended.id = s.event_id
    where e.id = s.event_id
)
select id, event_id, turn, flow_id, conversation_id, status, channel, contact, ready_at is not null as due
from inserted
union all
select id, event_id, turn, flow_id, conversation_id, status, channel, contact, ready_at is not null as due
from existing
union all
select null, event_id, null, null, null, null, null, null, false from missing"""

# The turn and the state decide who claims; the fence makes sure of it afterwards. What could not be claimed
# comes back as the statement saw it: `seen_…`.
CLAIM_MANY: Final = """
with asked as (
    select id, turn from unnest($1::uuid[], $2::integer[]) as a (id, turn)
), held as (
    select e.id, e.status, v.timeout_ms
    from executions e
        join asked a on a.id = e.id and a.turn = e.turn
        left join flow_versions v on v.flow_id = e.flow_id and v.version = e.version
    where e.status = 'queued'
        or (e.status = 'running' and e.lease_until <= clock_timestamp())
        or (e.status in ('waiting-timer', 'waiting-input', 'waiting-callback', 'retrying')
            and e.wake_at <= clock_timestamp())
    order by e.id for update of e
), claimed as (
    update executions e set
        status = 'running',
        fence = e.fence + 1,
        lease_owner = $3,
        lease_until = clock_timestamp() + make_interval(secs => $4),
        ready_at = coalesce(e.ready_at, now()),
        wake_at = null,
        started_at = coalesce(e.started_at, now()),
        deadline_at = coalesce(e.deadline_at, now() + h.timeout_ms * interval '1 millisecond')
    from held h where e.id = h.id
    returning e.*, h.status as status_before
)
select a.id as asked_id, a.turn as asked_turn, c.*, v.vars,
    seen.status as seen_status, seen.turn = a.turn as seen_turn,
    extract(epoch from seen.lease_until - clock_timestamp())::float8 as seen_lease_s
from asked a
    left join claimed c on c.id = a.id and c.turn = a.turn
    left join conversations v on v.id = c.conversation_id
    left join executions seen on seen.id = a.id"""

RENEW: Final = """
with held as (
    select e.id from executions e
        join unnest($1::uuid[], $2::bigint[]) as h (id, fence) on h.id = e.id and h.fence = e.fence
    where e.status = 'running'
    order by e.id for update of e
)
update executions e set lease_until = clock_timestamp() + make_interval(secs => $3)
from held where e.id = held.id
returning e.id"""

# $1-$8: the executions. $9-$20: their steps. $21-$28: their notifications. `repeated`: a checkpoint with
# this fence has already ended the lease, and nobody has claimed since: its answer was lost on the way.
CHECKPOINT_MANY: Final = """
with written as (
    select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::json[], $5::timestamptz[], $6::json[], $7::json[],
        $8::json[]) as w (id, fence, status, state, wake_at, error, output, vars)
), locked as (
    select e.id, w.status, w.state, w.wake_at, w.error, w.output, w.vars,
        w.status in ('waiting-timer', 'waiting-input', 'waiting-callback', 'retrying') as waits,
        w.status in ('succeeded', 'failed', 'cancelled', 'timed-out') as ends
    from executions e join written w on w.id = e.id and w.fence = e.fence
    where e.status = 'running'
    order by e.id for update of e
), kept as (
    update executions e set
        status = case when l.waits and e.cancel_requested then 'queued' else l.status end,
        state = l.state,
        error = l.error,
        output = l.output,
        turn = case when l.ends or l.status = 'running' then e.turn else e.turn + 1 end,
        lease_owner = case when l.status = 'running' then e.lease_owner end,
        lease_until = case when l.status = 'running' then e.lease_until end,
        ready_at = case when l.status = 'running' then e.ready_at
            when l.status = 'queued' or (l.waits and e.cancel_requested) then now() end,
        wake_at = case when l.waits and not e.cancel_requested then least(l.wake_at, e.deadline_at) end,
        ended_at = case when l.ends then now() end
    from locked l where e.id = l.id
    returning e.id, e.conversation_id, l.vars
), stepped as (
    insert into steps (execution_id, seq, node_id, type, status, attempt, handle, input, output, error,
        started_at, ended_at)
    select s.execution_id, s.seq, s.node_id, s.type, s.status, s.attempt, s.handle, s.input, s.output, s.error,
        s.started_at, s.ended_at
    from unnest($9::uuid[], $10::integer[], $11::text[], $12::text[], $13::text[], $14::integer[], $15::text[],
            $16::json[], $17::json[], $18::json[], $19::timestamptz[], $20::timestamptz[])
        as s (execution_id, seq, node_id, type, status, attempt, handle, input, output, error, started_at, ended_at)
        join kept on kept.id = s.execution_id
    on conflict (execution_id, seq) do update set
        node_id = excluded.node_id, type = excluded.type, status = excluded.status, attempt = excluded.attempt,
        handle = excluded.handle, input = excluded.input, output = excluded.output, error = excluded.error,
        started_at = excluded.started_at, ended_at = excluded.ended_at
), notified as (
    insert into notifications (id, execution_id, seq, channel_id, recipient, payload, idempotency_key,
        conversation_id, due_at, created_at, updated_at)
    select n.id, n.execution_id, n.seq, n.channel_id, n.recipient, n.payload, n.idempotency_key, n.conversation_id,
        now(), now(), now()
    from unnest($21::uuid[], $22::uuid[], $23::integer[], $24::text[], $25::text[], $26::json[], $27::text[],
            $28::uuid[])
        as n (id, execution_id, seq, channel_id, recipient, payload, idempotency_key, conversation_id)
        join kept on kept.id = n.execution_id
    order by n.id
    on conflict do nothing
), conversed as (
    update conversations c set vars = kept.vars, updated_at = now()
    from kept where c.id = kept.conversation_id and kept.vars is not null
)
select w.id, kept.id is not null as kept,
    coalesce(seen.fence = w.fence and seen.status <> 'running', false) as repeated
from written w
    left join kept on kept.id = w.id
    left join executions seen on seen.id = w.id"""

DUE: Final = """
with woken as (
    select id from executions where wake_at <= now() order by wake_at limit $1 for update skip locked
)
update executions e set status = 'queued', ready_at = now(), wake_at = null
from woken where e.id = woken.id
returning e.id, e.turn, e.flow_id, e.conversation_id, e.status, e.channel, e.contact"""

NEXT_WAKE: Final = "select min(wake_at) from executions where wake_at is not null"

UNFINISHED: Final = """
select id, turn, flow_id, conversation_id, status, channel, contact from executions
where ready_at <= now() - make_interval(secs => $1)
    and (status = 'queued' or lease_until <= now())
    and ($3::uuid is null or (ready_at, id) > ((select ready_at from executions where id = $3), $3))
order by ready_at, id limit $2"""

FAIL_MANY: Final = """
with failing as (
    select e.id, f.error from executions e
        join unnest($1::uuid[], $2::json[]) as f (id, error) on f.id = e.id
    where e.ended_at is null
    order by e.id for update of e
)
update executions e set status = 'failed', error = f.error, fence = e.fence + 1, lease_owner = null,
    lease_until = null, ready_at = null, wake_at = null, ended_at = now()
from failing f where e.id = f.id"""

REOPEN: Final = """
update executions set status = 'queued', error = null, ready_at = now(), ended_at = null
where id = $1 and turn = $2 and status = 'failed'
returning id"""

# The turn of a waiting execution is counted already, so that waking it needs no new one.
REQUEST_CANCEL: Final = """
update executions set cancel_requested = true, wake_at = null,
    status = case when status = 'running' then status else 'queued' end,
    ready_at = coalesce(ready_at, now())
where id = $1 and ended_at is null
returning id, turn, flow_id, conversation_id, status, channel, contact"""

CANCELLING: Final = "select id from executions where id = any ($1::uuid[]) and cancel_requested and ended_at is null"

GET: Final = "select * from executions where id = $1"

STEPS: Final = "select * from steps where execution_id = $1 order by seq"

SEARCH: Final = """
select id, status, flow_id, version, event_id, conversation_id, error, output, wake_at, queued_at, started_at,
    ended_at
from executions"""
