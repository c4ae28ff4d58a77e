"""The statements of the table `schedules`."""

from typing import Final

from filas.repository.postgres import paging

# The lock keeps revisions in the order of commits, as for webhooks and channels.
LOCK_REVISION: Final = """
update configuration_revision set revision = revision + 1 returning clock_timestamp()"""

GET: Final = "select * from schedules where id = $1"
GET_FOR_UPDATE: Final = "select * from schedules where id = $1 for update"
LIST: Final = paging.within_bytes(
    "select * from schedules where id > $1 order by id limit $2", "octet_length(input::text)", "id"
)
DELETE: Final = "delete from schedules where id = $1 returning id"

STORE: Final = """
insert into schedules as s (id, flow_id, version, cron, timezone, at, starts_at, ends_at, enabled, input, channel,
    contact, misfire, misfire_grace_ms, catch_up_limit, every, next_run_at, revision)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10::json, $11, $12, $13, $14, $15, $16::json, $17::timestamptz, revision
from configuration_revision
on conflict (id) do update set
    flow_id = excluded.flow_id, version = excluded.version, cron = excluded.cron, timezone = excluded.timezone,
    at = excluded.at, starts_at = excluded.starts_at, ends_at = excluded.ends_at, enabled = excluded.enabled,
    input = excluded.input, channel = excluded.channel, contact = excluded.contact, misfire = excluded.misfire,
    misfire_grace_ms = excluded.misfire_grace_ms, catch_up_limit = excluded.catch_up_limit, every = excluded.every,
    next_run_at = excluded.next_run_at, revision = excluded.revision, updated_at = now()
returning *"""

SECONDS_TO_NEXT_TICK: Final = "select extract(epoch from min(next_run_at) - clock_timestamp())::float8 from schedules"

LOCK_DUE: Final = """
select *, clock_timestamp() as now from schedules
where next_run_at <= clock_timestamp() order by next_run_at limit $1 for update skip locked"""

# $1-$7: one execution for each tick. The result has one row for each, in the same order. A row without a version could
# not be started. The lock on the flow prevents its deletion. An execution that exists already is not changed.
START: Final = """
with new as (
    select *, now() + place * interval '1 microsecond' as made_at
    from unnest($1::uuid[], $2::text[], $3::integer[], $4::uuid[], $5::text[], $6::text[], $7::json[])
        with ordinality as n (id, flow_id, version, conversation_id, channel, contact, trigger, place)
), known as (
    select id, published_version from flows where id = any ($2::text[]) order by id for key share
), startable as (
    select n.id, v.version from new n
        join known k on k.id = n.flow_id
        join flow_versions v on v.flow_id = k.id and v.version = coalesce(n.version, k.published_version)
), conversed as (
    insert into conversations (id, channel, contact)
    select distinct on (conversation_id) conversation_id, channel, contact
    from new n join startable s on s.id = n.id where conversation_id is not null
    order by conversation_id
    on conflict do nothing
), inserted as (
    insert into executions (id, flow_id, version, node_id, conversation_id, channel, contact, trigger, ready_at,
        queued_at)
    select n.id, n.flow_id, s.version, '', n.conversation_id, n.channel, n.contact, n.trigger, n.made_at, n.made_at
    from new n join startable s on s.id = n.id
    order by n.id
    on conflict (id) do nothing
)
select n.id, n.conversation_id, n.channel, n.contact, s.version, k.id is not null as flow_exists
from new n left join startable s on s.id = n.id left join known k on k.id = n.flow_id
order by n.place"""

# $6: a tick was run, so $5 is its error or null. Otherwise the error before stays.
ADVANCE: Final = """
update schedules s set
    next_run_at = a.next_run_at,
    last_run_at = coalesce(a.last_run_at, s.last_run_at),
    last_execution_id = coalesce(a.last_execution_id, s.last_execution_id),
    last_error = case when a.has_run then a.last_error else s.last_error end
from unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::uuid[], $5::json[], $6::boolean[])
    as a (id, next_run_at, last_run_at, last_execution_id, last_error, has_run)
where s.id = a.id"""
