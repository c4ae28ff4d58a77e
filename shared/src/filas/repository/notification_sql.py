"""The statements of the tables `notifications` and `notification_attempts`."""

from collections.abc import Mapping
from typing import Final

# A notification that is `sending` already has an attempt whose outcome is unknown. One whose cancel is stored gets no
# further attempt.
BEGIN_ATTEMPTS: Final = """
with found as (
    select n.id, n.status, n.attempts, n.status in ('queued', 'retrying', 'sending')
        and exists (select from notification_cancels c where c.notification_id = n.id offset 0) as cancels
    from notifications n
        join unnest($1::uuid[], $2::boolean[]) as a (id, replay) on a.id = n.id
    where n.status in ('queued', 'retrying', 'sending') or (a.replay and n.status in ('failed', 'cancelled'))
    order by n.id for update of n
), unknown as (
    update notification_attempts a set outcome = 'uncertain', ended_at = now()
    from found f
    where f.status = 'sending' and a.notification_id = f.id and a.attempt = f.attempts and a.outcome = 'sending'
), begun as (
    update notifications n set status = 'sending', attempts = n.attempts + 1,
        uncertain = n.uncertain or f.status = 'sending', error = null, ended_at = null,
        updated_at = now()
    from found f where n.id = f.id and not f.cancels
    returning n.*, f.status = 'sending' as interrupted
), cancelled as (
    update notifications n set status = 'cancelled', uncertain = n.uncertain or f.status = 'sending',
        updated_at = now(), ended_at = now()
    from found f where n.id = f.id and f.cancels
    returning n.id, n.execution_id
), reported as (
    insert into message_outcomes (notification_id, execution_id, status)
    select id, execution_id, 'cancelled' from cancelled where execution_id is not null
    order by id
    on conflict (notification_id) do update set status = excluded.status, error = null, created_at = now()
), applied as (
    delete from notification_cancels c using cancelled d where c.notification_id = d.id
), opened as (
    insert into notification_attempts (notification_id, attempt, outcome, started_at)
    select id, attempts, 'sending', now() from begun
)
select b.id, b.execution_id, b.conversation_id, b.seq, b.channel_id, b.recipient, b.idempotency_key, b.status,
    b.attempts, b.uncertain, b.provider_id, b.error, b.created_at, b.updated_at, b.interrupted, b.awaits,
    case when b.attempts > 1 then (
        select extract(epoch from now() - a.started_at)::float8 from notification_attempts a
        where a.notification_id = b.id and a.attempt = 1) end as tried_s,
    s.bytes as payload_bytes, case when s.bytes <= $3 then b.payload else '{}' end as payload
from begun b cross join lateral (select octet_length(b.payload::text) as bytes) s"""

PAYLOAD: Final = "select payload from notifications where id = $1"

# The attempt is recorded in any case; the notification only if no later attempt has begun. `reported`: the status for
# which the execution waits, or a later one.
RECORD_MANY: Final = """
with ended as (
    select * from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::integer[], $6::json[], $7::text[],
        $8::float8[])
        as o (id, attempt, outcome, status, status_code, error, provider_id, due_in_s)
), ended_attempt as (
    update notification_attempts a set outcome = e.outcome, status_code = e.status_code, error = e.error,
        ended_at = now()
    from ended e
    where a.notification_id = e.id and a.attempt = e.attempt and a.outcome in ('sending', 'uncertain')
), latest as (
    select n.id from notifications n join ended e on e.id = n.id and e.attempt = n.attempts
    where n.status = 'sending'
    order by n.id for update of n
), recorded as (
    update notifications n set status = e.status, error = e.error,
        provider_id = coalesce(e.provider_id, n.provider_id),
        uncertain = n.uncertain or e.outcome = 'uncertain',
        due_at = coalesce(now() + make_interval(secs => e.due_in_s), n.due_at),
        updated_at = now(), ended_at = case when e.status in ('queued', 'sending', 'retrying') then null else now() end
    from ended e join latest on latest.id = e.id
    where n.id = e.id
    returning n.id, n.execution_id, n.status, n.awaits
), reported as (
    insert into message_outcomes (notification_id, execution_id, status)
    select id, execution_id, status from recorded
    where execution_id is not null and (status = awaits or (status = 'delivered' and awaits is not null))
    order by id
    on conflict (notification_id) do update set status = excluded.status, error = null, created_at = now()
)
select id from recorded"""

UNFINISHED: Final = """
select n.id, n.channel_id, n.conversation_id, n.recipient,
    coalesce((select e.event_id from executions e where e.id = n.execution_id), n.execution_id) as origin_id
from notifications n
where n.ended_at is null and n.due_at <= now() - make_interval(secs => $1)
    and ($3::uuid is null or (n.due_at, n.id) > ((select due_at from notifications where id = $3), $3))
order by n.due_at, n.id limit $2"""

# Of several receipts for one message, the furthest status counts; `failed` does not undo `delivered`. A notification
# whose send got no answer has no provider's id and is found by its key (`by_key`): a receipt proves that the send was
# successful, so there are no more attempts, and `failed` is undone. The row of a receipt is deleted when its
# notification was found, or after the last attempt.
RECORD_RECEIPTS: Final = """
with receipt as (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::json[], $5::uuid[], $6::text[], $7::boolean[])
        as r (channel_id, provider_id, status, error, notification_id, job_id, last)
), furthest as (
    select distinct on (channel_id, provider_id) channel_id, provider_id, status, error, notification_id
    from receipt
    order by channel_id, provider_id, array_position(array['read', 'delivered', 'failed', 'sent'], status)
), matched as (
    select n.id, f.*, false as by_key
    from furthest f cross join lateral (
        select id from notifications where channel_id = f.channel_id and provider_id = f.provider_id offset 0) n
    union all
    select distinct on (n.id) n.id, f.*, true
    from furthest f join notifications n on n.id = f.notification_id and n.channel_id = f.channel_id
    where n.provider_id is null and n.status in ('sending', 'retrying', 'failed') and f.status <> 'failed'
), found as (
    select n.id, n.status as before, m.channel_id, m.provider_id, m.status, m.error, m.by_key
    from matched m join notifications n on n.id = m.id
    order by n.id for update of n
), moved as (
    update notifications n set status = f.status, provider_id = f.provider_id, updated_at = now(),
        error = case when f.by_key then null else coalesce(f.error, n.error) end,
        delivered_at = case when f.status = 'delivered' then now() else n.delivered_at end,
        read_at = case when f.status = 'read' then now() else n.read_at end,
        ended_at = coalesce(n.ended_at, now())
    from found f
    where n.id = f.id and case
        when f.by_key then n.provider_id is null and f.before in ('sending', 'retrying', 'failed')
        when f.before = 'sent' then f.status <> 'sent'
        when f.before = 'delivered' then f.status = 'read'
        else false end
    returning n.id, n.execution_id, n.status, n.awaits, n.error
), reported as (
    insert into message_outcomes (notification_id, execution_id, status, error)
    select id, execution_id, status, case when status = 'failed' then error end from moved
    where execution_id is not null
        and (status in ('failed', awaits) or (status in ('delivered', 'read') and awaits is not null))
    order by id
    on conflict (notification_id) do update
        set status = excluded.status, error = excluded.error, created_at = now()
    returning notification_id
), finished as (
    select d.job_id from delivery_statuses d join receipt r on r.job_id = d.job_id
    where r.last or (r.channel_id, r.provider_id) in (select channel_id, provider_id from matched)
    for update of d skip locked
), deleted as (
    delete from delivery_statuses d using finished f where d.job_id = f.job_id
)
select f.channel_id, f.provider_id, f.status, m.id is not null as moved, r.notification_id as reported
from found f left join moved m on m.id = f.id left join reported r on r.notification_id = f.id"""

# The stored cancel has had its effect, unless the notification is being sent.
CANCEL: Final = """
with found as (
    select id, status from notifications where id = $1 for update
), cancelled as (
    update notifications n set status = 'cancelled', updated_at = now(), ended_at = now()
    from found f where n.id = f.id and f.status in ('queued', 'retrying')
    returning n.id, n.execution_id
), reported as (
    insert into message_outcomes (notification_id, execution_id, status)
    select id, execution_id, 'cancelled' from cancelled where execution_id is not null
    on conflict (notification_id) do update set status = excluded.status, error = null, created_at = now()
), applied as (
    delete from notification_cancels
    where notification_id = $1 and not exists (select from found where status = 'sending')
)
select case when c.id is null then f.status else 'cancelled' end as status
from found f left join cancelled c on c.id = f.id"""

# A status that few notifications have is stated literally, as in the condition of its index.
CONDITIONS: Final[Mapping[str | None, str]] = {
    "failed": "status = 'failed'",
    "cancelled": "status = 'cancelled'",
    "queued": "ended_at is null",
    "sending": "ended_at is null",
    "retrying": "ended_at is null",
}

SIZE: Final = "octet_length(payload::text) + coalesce(octet_length(error::text), 0)"

GET: Final = "select * from notifications where id = $1"

ATTEMPTS: Final = "select * from notification_attempts where notification_id = $1 order by attempt"
