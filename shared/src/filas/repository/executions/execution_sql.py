"""The statements of the table `executions`: a batch is one statement, one transaction and one round trip.

Rows are locked in the order of their ids, so that two batches that share rows wait for each other and do not deadlock.

A statement that looks for rows by id tests `status` and not `ended_at is null`: that condition would make a partial
index usable, and a planner that knows nothing about the tables would read this whole index instead of looking up ids.
`offset 0` keeps a subquery apart, so that it runs once for each row through an index.
"""

from typing import Final

# $1-$2 and $14: each event with the status and the reason that it gets. $3-$10, $15 and $16: the executions. Their
# times differ by a microsecond, so that the messages of one body keep their order. $11-$13: the delivery receipts of
# the events that end here. A row without an id is an event with a flow that has no published version. `due` is false
# for an execution that existed before and whose turn waits for its time: its job must not be enqueued before that time.
# The lock of a conversation keeps it from becoming a part of another one while its executions are written.
START_MANY: Final = """
with starting as (
    select event_id, status, reason from unnest($1::uuid[], $2::text[], $14::text[]) as s (event_id, status, reason)
), new as (
    select *, now() + place * interval '1 microsecond' as at
    from unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::text[], $10::json[],
            $15::boolean[], $16::text[])
        with ordinality as n (id, event_id, flow_id, node_id, conversation_id, channel, contact, trigger,
            carries_message, said, place)
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
), new_conversations as (
    insert into conversations (id, channel, contact)
    select distinct on (conversation_id) conversation_id, channel, contact from new
    where conversation_id is not null and event_id not in (select event_id from missing)
    order by conversation_id
    on conflict do nothing
), conversation as (
    select id, merged_into from conversations where id = any ($7::uuid[]) order by id for key share
), inserted as (
    insert into executions (id, flow_id, version, node_id, event_id, conversation_id, channel, contact, trigger,
        carries_message, said, ready_at, queued_at)
    select n.id, n.flow_id, p.published_version, n.node_id, n.event_id, coalesce(v.merged_into, n.conversation_id),
        n.channel, n.contact, n.trigger, n.carries_message and n.conversation_id is not null, n.said, n.at, n.at
    from new n join published p on p.id = n.flow_id left join conversation v on v.id = n.conversation_id
    where n.event_id not in (select event_id from missing)
    order by n.id
    on conflict (id) do nothing
    returning id, event_id, turn, flow_id, conversation_id, status, channel, contact, ready_at
), ended as (
    select e.id from events e join starting s on s.event_id = e.id
    where e.status in ('received', 'failed') and e.id not in (select event_id from missing)
    order by e.id for update of e
), marked as (
    update events e set status = s.status, reason = s.reason, processed_at = now(), error = null
    from starting s join ended on ended.id = s.event_id
    where e.id = s.event_id
), pending_receipts as (
    insert into delivery_statuses (job_id, message)
    select d.job_id, d.message from unnest($11::uuid[], $12::text[], $13::json[]) as d (event_id, job_id, message)
        join ended on ended.id = d.event_id
    order by d.job_id
    on conflict (job_id) do nothing
)
select id, event_id, turn, flow_id, conversation_id, status, channel, contact, ready_at is not null as due
from inserted
union all
select id, event_id, turn, flow_id, conversation_id, status, channel, contact, ready_at is not null as due
from existing
union all
select null, event_id, null, null, null, null, null, null, false from missing"""

# The turn and the status decide which worker claims an execution; the fence proves the claim in every later write. A
# request for an execution whose message has resumed another one is a request for that one. An execution whose message
# could resume another one is not claimed before RESUME_MANY has run. A message that is a text of `restartOn`, of its
# own flow or of one that waits for a reply, resumes nothing. `leaves_waits`: the waits of the conversation end before
# the execution runs (LEAVE_WAITS); that is so until its first checkpoint. Of an execution that cannot be claimed, the
# columns `seen_…` have the values that the statement saw. An execution that waited for a callback takes it, or closes
# the address, so that a later call is answered with 410. `contact` is the address to which messages are sent now.
CLAIM_MANY: Final = """
with requested as (
    select a.id as asked_id, a.turn as asked_turn, coalesce(m.resumed_id, a.id) as id,
        coalesce(m.resumed_turn, a.turn) as turn, a.place
    from unnest($1::uuid[], $2::integer[]) with ordinality as a (id, turn, place)
        left join executions m on m.id = a.id and m.turn = a.turn
), asked as (
    select *, row_number() over (partition by id, turn order by place) = 1 as first from requested
), claimable as (
    select e.id, e.status, v.timeout_ms,
        e.state is null and e.start_state is null and e.replay_of is null and e.conversation_id is not null
            and (coalesce(v.on_new_start = 'replace', false)
                or e.carries_message and (w.restarts or coalesce(e.said = any (v.restart_on), false))) as leaves_waits
    from executions e
        join asked a on a.id = e.id and a.turn = e.turn and a.first
        left join flow_versions v on v.flow_id = e.flow_id and v.version = e.version
        cross join lateral (
            select count(*) > 0 as waits, coalesce(bool_or(e.said = any (o.restart_on)), false) as restarts
            from executions q left join flow_versions o on o.flow_id = q.flow_id and o.version = q.version
            where e.carries_message and e.state is null and q.conversation_id = e.conversation_id
                and q.awaits_reply_since is not null and q.status like 'waiting-%'
                and coalesce(q.wake_at > e.queued_at - interval '5 s', true)) w
    where (e.status = 'queued'
            or (e.status = 'running' and e.lease_until <= clock_timestamp())
            or (e.status in ('waiting-timer', 'waiting-input', 'waiting-callback', 'retrying')
                and e.wake_at <= clock_timestamp())
            or (e.status = 'waiting-callback' and exists (select from callbacks k where k.id = e.awaits_callback)))
        and not (e.carries_message and e.fence = 0 and w.waits and not w.restarts
            and not coalesce(e.said = any (v.restart_on), false) and not e.cancel_requested
            and not exists (select from execution_cancels x where x.execution_id = e.id offset 0))
    order by e.id for update of e
), claimed as (
    update executions e set
        status = 'running',
        fence = e.fence + 1,
        lease_owner = $3,
        lease_until = clock_timestamp() + make_interval(secs => $4),
        ready_at = coalesce(e.ready_at, now()),
        wake_at = null,
        cancel_requested = e.cancel_requested
            or exists (select from execution_cancels x where x.execution_id = e.id offset 0),
        awaits_reply_since = null,
        started_at = coalesce(e.started_at, now()),
        deadline_at = coalesce(e.deadline_at, now() + h.timeout_ms * interval '1 millisecond')
    from claimable h where e.id = h.id
    returning e.*, h.status as status_before, h.leaves_waits
), taken_callbacks as (
    insert into callbacks (id, execution_id, taken_at)
    select awaits_callback, id, now() from claimed where awaits_callback is not null
    on conflict (id) do update set taken_at = coalesce(callbacks.taken_at, now())
    returning id, payload
)
select a.asked_id, a.asked_turn, c.id, c.fence, c.turn, c.flow_id, c.version, c.node_id, c.event_id, c.conversation_id,
    c.channel, coalesce(t.address, c.contact) as contact, c.status_before, c.started_at, c.deadline_at,
    c.cancel_requested, c.message_outcome, c.superseded, c.leaves_waits, b.bytes as content_bytes,
    case when b.bytes <= $5 then c.trigger end as trigger, case when b.bytes <= $5 then c.state end as state,
    case when b.bytes <= $5 then c.start_state end as start_state, case when b.bytes <= $5 then v.vars end as vars,
    case when b.bytes <= $5 then r.trigger end as reply, case when b.bytes <= $5 then k.payload end as call,
    clock_timestamp() as claimed_at, seen.status as seen_status, seen.turn = a.turn as seen_turn,
    seen.carries_message and seen.fence = 0 as seen_message,
    seen.status = 'waiting-callback' and seen.awaits_message is not null as seen_awaits_message,
    extract(epoch from coalesce(seen.lease_until, seen.wake_at) - clock_timestamp())::float8 as seen_wait_s
from asked a
    left join claimed c on c.id = a.id and c.turn = a.turn and a.first
    left join conversations v on v.id = c.conversation_id
    left join contacts t on t.id = v.contact_id
    left join executions r on r.id = c.reply_id
    left join taken_callbacks k on k.id = c.awaits_callback
    cross join lateral (
        select coalesce(octet_length(c.trigger::text), 0) + coalesce(octet_length(c.state::text), 0)
            + coalesce(octet_length(c.start_state::text), 0) + coalesce(octet_length(v.vars::text), 0)
            + coalesce(octet_length(r.trigger::text), 0) + coalesce(octet_length(k.payload::text), 0) as bytes) b
    left join executions seen on seen.id = a.id and c.id is null"""

# CLAIM_MANY for the first turn of executions that begin: no execution of the conversation waits for their message, they
# end no wait of others, and their cancellation is not requested. It returns no row for any other one, which CLAIM_MANY
# then claims. To begin and end that statement costs as much as ten rows of it.
CLAIM_FRESH: Final = """
with claimable as (
    select e.id, v.timeout_ms
    from executions e
        join unnest($1::uuid[]) as a (id) on a.id = e.id
        left join flow_versions v on v.flow_id = e.flow_id and v.version = e.version
    where e.status = 'queued' and e.turn = 1 and e.fence = 0
        and e.state is null and e.start_state is null and e.replay_of is null and e.reply_id is null
        and e.awaits_callback is null and not e.cancel_requested
        and not coalesce(v.on_new_start = 'replace', false) and not coalesce(e.said = any (v.restart_on), false)
        and not exists (
            select from executions q
            where q.conversation_id = e.conversation_id and q.awaits_reply_since is not null offset 0)
        and not exists (select from execution_cancels x where x.execution_id = e.id offset 0)
    order by e.id for update of e
), claimed as (
    update executions e set
        status = 'running',
        fence = e.fence + 1,
        lease_owner = $2,
        lease_until = clock_timestamp() + make_interval(secs => $3),
        started_at = coalesce(e.started_at, now()),
        deadline_at = coalesce(e.deadline_at, now() + h.timeout_ms * interval '1 millisecond')
    from claimable h where e.id = h.id
    returning e.id, e.fence, e.turn, e.flow_id, e.version, e.node_id, e.event_id, e.conversation_id, e.channel,
        e.contact, e.started_at, e.deadline_at, e.trigger
)
select c.id, c.fence, c.turn, c.flow_id, c.version, c.node_id, c.event_id, c.conversation_id, c.channel,
    coalesce(t.address, c.contact) as contact, 'queued' as status_before, c.started_at, c.deadline_at,
    false as cancel_requested, null as message_outcome, false as superseded, false as leaves_waits,
    b.bytes as content_bytes, case when b.bytes <= $4 then c.trigger end as trigger, null as state, null as start_state,
    case when b.bytes <= $4 then v.vars end as vars, null as reply, null as call, clock_timestamp() as claimed_at
from claimed c
    left join conversations v on v.id = c.conversation_id
    left join contacts t on t.id = v.contact_id
    cross join lateral (
        select octet_length(c.trigger::text) + coalesce(octet_length(v.vars::text), 0) as bytes) b"""

# The content of an execution that CLAIM_MANY has left out, because it is large. $2: the fence of the claim.
LOAD: Final = """
select e.trigger, e.state, e.start_state, v.vars, r.trigger as reply, k.payload as call
from executions e
    left join conversations v on v.id = e.conversation_id
    left join executions r on r.id = e.reply_id
    left join callbacks k on k.id = e.awaits_callback
where e.id = $1 and e.fence = $2"""

# $1: executions that carry a message and have not begun. If an execution of the same conversation waits for a reply,
# the message resumes the one that asked last, or the one that began to wait last if none has asked, and the execution
# that carried the message ends. A wait that was over when the message arrived, although its timer has not run, takes no
# message; in its last moments it does, because the contact may have seen the question until then.
RESUME_MANY: Final = """
with message as (
    select m.id, m.conversation_id, m.queued_at from executions m
    where m.id = any ($1::uuid[]) and m.carries_message and m.fence = 0 and m.status = 'queued'
        and not m.cancel_requested and not exists (select from execution_cancels x where x.execution_id = m.id offset 0)
    order by m.id for update of m
), found as (
    select m.id as message_id, w.id, w.turn
    from message m cross join lateral (
        select e.id, e.turn from executions e
        where e.conversation_id = m.conversation_id and e.awaits_reply_since is not null
            and e.status like 'waiting-%' and coalesce(e.wake_at > m.queued_at - interval '5 s', true)
        order by e.status = 'waiting-input' desc, e.awaits_reply_since desc, e.id limit 1 for update) w
), waiting as (
    select distinct on (id) message_id, id, turn from found order by id, message_id
), resumed as (
    update executions e set status = 'queued', ready_at = coalesce(e.ready_at, now()), wake_at = null,
        awaits_reply_since = null, reply_id = w.message_id
    from waiting w where e.id = w.id
)
update executions e set status = 'succeeded', resumed_id = w.id, resumed_turn = w.turn, ready_at = null,
    started_at = now(), ended_at = now()
from waiting w where e.id = w.message_id
returning e.id"""

# $1: an execution that begins. All others of its conversation that wait are to be cancelled.
LEAVE_WAITS: Final = """
with other as (
    select o.id from executions e cross join lateral (
        select w.id from executions w
        where w.conversation_id = e.conversation_id and w.wake_at is not null and w.status like 'waiting-%'
            and w.id <> e.id offset 0) o
    where e.id = $1
), locked as (
    select e.id from other o join executions e on e.id = o.id
    where e.status like 'waiting-%'
    order by e.id for update of e
)
update executions e set cancel_requested = true, wake_at = null, awaits_reply_since = null, status = 'queued',
    ready_at = now()
from locked where e.id = locked.id
returning e.id, e.turn, e.flow_id, e.conversation_id, e.status, e.channel, e.contact, e.event_id"""

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

QUEUE_DUE: Final = """
with woken as (
    select id from executions where wake_at <= now() order by wake_at limit $1 for update skip locked
), called_back as (
    select e.id from callbacks k join executions e on e.id = k.execution_id and e.awaits_callback = k.id
    where k.taken_at is null and e.status = 'waiting-callback'
    limit $1 for update of e skip locked
)
update executions e set status = 'queued', ready_at = now(), wake_at = null
from (select id from woken union select id from called_back) due where e.id = due.id
returning e.id, e.turn, e.flow_id, e.conversation_id, e.status, e.channel, e.contact, e.event_id"""

SECONDS_TO_NEXT_WAKE: Final = (
    "select extract(epoch from min(wake_at) - clock_timestamp())::float8 from executions where wake_at is not null"
)

UNFINISHED: Final = """
select id, turn, flow_id, conversation_id, status, channel, contact, event_id from executions
where ready_at <= now() - make_interval(secs => $1)
    and (status = 'queued' or lease_until <= now())
    and ($3::uuid is null or (ready_at, id) > ((select ready_at from executions where id = $3), $3))
order by ready_at, id limit $2"""

# The executions whose job holds the group of their conversation while they do not need it: they run under a lease, or
# wait for a retry or for the outcome of a message (`execution_rows.claim`).
HOLDING: Final = """
select id, turn, flow_id, conversation_id, status, channel, contact, event_id from executions
where (ready_at is not null and status = 'running' and lease_until > now()
        or wake_at <= now() + make_interval(secs => $3)
            and (status = 'retrying' or status = 'waiting-callback' and awaits_message is not null))
    and ($2::uuid is null or id > $2)
order by id limit $1"""

# `coalesce` hides the condition from the indexes of failures: on an empty table they seem cheaper than the primary key.
REOPEN: Final = """
update executions set status = 'queued', error = null, fingerprint = null, ready_at = now(), ended_at = null
where id = $1 and turn = $2 and coalesce(status, '') = 'failed'
returning id"""

# The turn of a waiting execution has been counted already, so resuming it starts no new turn. The stored cancel has had
# its effect.
REQUEST_CANCEL: Final = """
with applied as (
    delete from execution_cancels where execution_id = $1
)
update executions set cancel_requested = true, wake_at = null, awaits_reply_since = null,
    status = case when status = 'running' then status else 'queued' end,
    ready_at = coalesce(ready_at, now())
where id = $1 and status not in ('succeeded', 'failed', 'cancelled', 'timed-out')
returning id, turn, flow_id, conversation_id, status, channel, contact, event_id"""

CANCEL_REQUESTED: Final = """
select e.id from executions e
where e.id = any ($1::uuid[])
    and (e.cancel_requested or exists (select from execution_cancels x where x.execution_id = e.id offset 0))
    and e.status not in ('succeeded', 'failed', 'cancelled', 'timed-out')"""

# Notifications that may have no job yet, in the order in which they were written.
UNFINISHED_NOTIFICATIONS: Final = """
select n.id, n.channel_id, n.conversation_id, n.recipient, coalesce(e.event_id, n.execution_id) as origin_id
from notifications n left join executions e on e.id = n.execution_id
where n.execution_id = any ($1::uuid[]) and n.status in ('queued', 'sending', 'retrying')
order by n.created_at, n.execution_id, n.seq"""
