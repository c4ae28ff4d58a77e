"""The statements that write checkpoints of executions: a batch is one statement. See `execution_sql`."""

from typing import Final

_STEPS_AND_NOTIFICATIONS: Final = """
written_steps as (
    insert into steps (execution_id, seq, node_id, type, status, attempt, handle, input, output, error,
        started_at, ended_at)
    select s.execution_id, s.seq, s.node_id, s.type, s.status, s.attempt, s.handle, s.input, s.output, s.error,
        s.started_at, s.ended_at
    from unnest($6::uuid[], $7::integer[], $8::text[], $9::text[], $10::text[], $11::integer[], $12::text[],
            $13::json[], $14::json[], $15::json[], $16::timestamptz[], $17::timestamptz[])
        as s (execution_id, seq, node_id, type, status, attempt, handle, input, output, error, started_at, ended_at)
        join updated on updated.id = s.execution_id
    on conflict (execution_id, seq) do update set
        node_id = excluded.node_id, type = excluded.type, status = excluded.status, attempt = excluded.attempt,
        handle = excluded.handle, input = excluded.input, output = excluded.output, error = excluded.error,
        started_at = excluded.started_at, ended_at = excluded.ended_at
), new_notifications as (
    insert into notifications (id, execution_id, seq, channel_id, recipient, payload, idempotency_key,
        conversation_id, awaits, due_at, created_at, updated_at)
    select n.id, n.execution_id, n.seq, n.channel_id, n.recipient, n.payload, n.idempotency_key, n.conversation_id,
        n.awaits, now() + n.position * interval '1 microsecond', now() + n.position * interval '1 microsecond', now()
    from unnest($18::uuid[], $19::uuid[], $20::integer[], $21::text[], $22::text[], $23::json[], $24::text[],
            $25::uuid[], $26::text[]) with ordinality
        as n (id, execution_id, seq, channel_id, recipient, payload, idempotency_key, conversation_id, awaits, position)
        join updated on updated.id = n.execution_id
    order by n.id
    on conflict do nothing
"""

_STATUSES: Final = """
select w.id, coalesce(updated.status, case when seen.fence = w.fence and seen.status <> 'running' then seen.status end)
    as status
from written w
    left join updated on updated.id = w.id
    left join executions seen on seen.id = w.id"""

# $1-$5, $27-$30 and $36-$42: the executions. $6-$17: their steps. $18-$26: their notifications. $31-$35: the executions
# that they start, each in the conversation of its parent and in the published version of its flow; without one it is
# not started.
# No wait and no retry begins if the execution is to be cancelled. A turn ends when a wait begins; `queued` and
# `retrying` continue in the same turn, and so in the same job. If a checkpoint with this fence has ended the lease
# before and no worker has claimed the execution since, this is a repetition whose first result was lost: the status
# that the first one wrote is returned. A question that is asked supersedes the questions that are open in its
# conversation: they are over at their `idle_at` at the latest. A row that is locked is no longer waiting. The
# times of notifications are a microsecond apart, so that the parts of a text stay in order, also when their jobs are
# enqueued again.
CHECKPOINT_MANY: Final = "".join(
    (
        """
with written as (
    select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::json[], $5::json[], $27::timestamptz[], $28::json[],
        $29::json[], $30::boolean[], $36::uuid[], $37::text[], $38::uuid[], $39::timestamptz[], $40::timestamptz[],
        $41::boolean[], $42::boolean[])
        as w (id, fence, status, state, output, wake_at, error, vars, awaits_reply, awaits_callback, fingerprint,
            awaits_message, asked_at, idle_at, superseded, keeps_turn)
), locked as (
    select e.id, w.state, w.wake_at, w.error, w.output, w.vars, w.awaits_reply, w.awaits_callback, w.fingerprint,
        w.awaits_message, w.asked_at, w.idle_at, w.superseded, w.keeps_turn,
        case when e.cancel_requested and w.status in ('waiting-timer', 'waiting-input', 'waiting-callback', 'retrying')
            then 'queued' else w.status end as status,
        w.status in ('succeeded', 'failed', 'cancelled', 'timed-out') as ends
    from executions e join written w on w.id = e.id and w.fence = e.fence
    where e.status = 'running'
    order by e.id for update of e
), updated as (
    update executions e set
        status = l.status,
        state = l.state,
        error = l.error,
        fingerprint = l.fingerprint,
        output = l.output,
        turn = case when l.status in ('waiting-timer', 'waiting-input', 'waiting-callback') and not l.keeps_turn
            then e.turn + 1 else e.turn end,
        lease_owner = case when l.status = 'running' then e.lease_owner end,
        lease_until = case when l.status = 'running' then e.lease_until end,
        ready_at = case l.status when 'running' then e.ready_at when 'queued' then now() end,
        wake_at = case when l.status in ('waiting-timer', 'waiting-input', 'waiting-callback', 'retrying')
            then least(l.wake_at, e.deadline_at) end,
        awaits_reply_since = case when l.awaits_reply and l.status like 'waiting-%'
            then coalesce(l.asked_at, now()) end,
        idle_at = l.idle_at,
        superseded = l.superseded,
        awaits_callback = l.awaits_callback,
        awaits_message = l.awaits_message,
        message_outcome = null,
        reply_id = null,
        cancel_requested = e.cancel_requested or l.status = 'cancelled',
        ended_at = case when l.ends then now() end
    from locked l where e.id = l.id
    returning e.id, e.status, e.event_id, e.conversation_id, e.channel, e.contact, l.vars,
        l.asked_at is not null and not l.superseded and e.status = 'waiting-input' as asks
), superseded as (
    update executions e set superseded = true, wake_at = least(e.wake_at, greatest(e.idle_at, now()))
    from updated u cross join lateral (
        select q.id from executions q
        where q.conversation_id = u.conversation_id and q.awaits_reply_since is not null
            and q.status = 'waiting-input' and q.idle_at is not null and not q.superseded and q.id <> u.id
        for update skip locked) q
    where u.asks and e.id = q.id
), """,
        _STEPS_AND_NOTIFICATIONS,
        """), started as (
    insert into executions (id, flow_id, version, node_id, event_id, conversation_id, channel, contact, trigger,
        ready_at, queued_at)
    select n.id, n.flow_id, f.published_version, n.node_id, updated.event_id, updated.conversation_id, updated.channel,
        updated.contact, n.trigger, now(), now()
    from unnest($31::uuid[], $32::uuid[], $33::text[], $34::text[], $35::json[])
        as n (parent_id, id, flow_id, node_id, trigger)
        join updated on updated.id = n.parent_id
        join flows f on f.id = n.flow_id and f.published_version is not null
    order by n.id
    on conflict do nothing
), updated_conversations as (
    update conversations c set vars = updated.vars, updated_at = now()
    from updated where c.id = updated.conversation_id and updated.vars is not null
)""",
        _STATUSES,
    )
)

# CHECKPOINT_MANY for executions that go on or succeed, and nothing else, with the first of its arguments. To begin and
# end a statement costs as much as ten rows of it, and grows with the parts that it has.
CHECKPOINT_PLAIN: Final = "".join(
    (
        """
with written as (
    select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::json[], $5::json[])
        as w (id, fence, status, state, output)
), locked as (
    select e.id, w.status, w.state, w.output
    from executions e join written w on w.id = e.id and w.fence = e.fence
    where e.status = 'running'
    order by e.id for update of e
), updated as (
    update executions e set
        status = l.status,
        state = l.state,
        error = null,
        fingerprint = null,
        output = l.output,
        lease_owner = case when l.status = 'running' then e.lease_owner end,
        lease_until = case when l.status = 'running' then e.lease_until end,
        ready_at = case when l.status = 'running' then e.ready_at end,
        wake_at = null,
        awaits_reply_since = null,
        idle_at = null,
        superseded = false,
        awaits_callback = null,
        awaits_message = null,
        message_outcome = null,
        reply_id = null,
        ended_at = case when l.status = 'succeeded' then now() end
    from locked l where e.id = l.id
    returning e.id, e.status
), """,
        _STEPS_AND_NOTIFICATIONS,
        ")",
        _STATUSES,
    )
)
