"""The statements of retention: each deletes one chunk of rows that are older than the age of their table."""

from typing import Final

# A conversation has no time of its last message, because that would cost a write for each message. `updated_at` is the
# time of its last variable, or of its last execution that retention has deleted (EXECUTIONS). The other executions are
# looked up. The conversations are examined in the order of their ids, so no index by time is needed. A contact is
# deleted with its last conversation, together with its aliases and the contacts that were merged into it.
CONVERSATIONS: Final = """
with chunk as (
    select id from conversations where id > $2 order by id limit $3
), unused as (
    select v.id from conversations v join chunk c on c.id = v.id
    where v.updated_at < $1 and not exists (
        select from executions e where e.conversation_id = v.id
            and (e.ended_at is null or e.ended_at >= $1 or e.queued_at >= $1) offset 0)
    order by v.id for update of v skip locked
), deleted_rows as (
    delete from conversations v using unused u where v.id = u.id returning v.id, v.contact_id
), left_contacts as (
    select c.id from contacts c join (select distinct contact_id from deleted_rows) g on g.contact_id = c.id
    where not exists (
        select from conversations v where v.contact_id = c.id and v.id not in (select id from deleted_rows) offset 0)
    order by c.id for update of c skip locked
), deleted_contacts as (
    delete from contacts c using left_contacts l where c.id = l.id
), deleted_merged as (
    delete from contacts c using left_contacts l where c.merged_into = l.id
), deleted_aliases as (
    delete from contact_aliases a using left_contacts l where a.contact_id = l.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, id
from chunk order by id desc limit 1"""

# Each statement examines one chunk of at most $4 rows that are older than $1, after the position ($2, $3). It returns
# the number of rows that it examined and deleted, and the position of the last one. Rows that have not ended are kept,
# whatever their age. `skip locked`: two processes that purge at the same time share the work. The rows of a chunk are
# locked, so they are found again by their place (`ctid`): old rows are neighbours, but their ids are far from each
# other in a large index.
EVENTS: Final = """
with chunk as (
    select id, ctid as row, received_at as time, status <> 'received' as done from events
    where received_at < $1 and (received_at, id) > ($2, $3)
    order by received_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from events e using chunk c where e.ctid = c.row and c.done returning e.id
), deleted_keys as (
    delete from event_keys k using deleted_rows g where k.event_id = g.id
), deleted_duplicates as (
    delete from event_duplicates d using deleted_rows g where d.event_id = g.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

EXECUTIONS: Final = """
with chunk as (
    select id, ctid as row, queued_at as time, coalesce(ended_at < $1, false) as done from executions
    where queued_at < $1 and (queued_at, id) > ($2, $3)
    order by queued_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from executions e using chunk c where e.ctid = c.row and c.done
    returning e.id, e.conversation_id, e.ended_at
), deleted_steps as (
    delete from steps s using deleted_rows g where s.execution_id = g.id
), deleted_callbacks as (
    delete from callbacks k using deleted_rows g where k.execution_id = g.id
), active as (
    select conversation_id, max(ended_at) as at from deleted_rows where conversation_id is not null
    group by conversation_id
), touched as (
    select v.id from conversations v join active a on a.conversation_id = v.id
    where v.updated_at < a.at order by v.id for update of v skip locked
), marked as (
    update conversations v set updated_at = a.at from active a join touched t on t.id = a.conversation_id
    where v.id = t.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

NOTIFICATIONS: Final = """
with chunk as (
    select id, ctid as row, created_at as time, coalesce(ended_at < $1, false) as done from notifications
    where created_at < $1 and (created_at, id) > ($2, $3)
    order by created_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from notifications n using chunk c where n.ctid = c.row and c.done returning n.id
), deleted_attempts as (
    delete from notification_attempts a using deleted_rows g where a.notification_id = g.id
), deleted_outcomes as (
    delete from message_outcomes o using deleted_rows g where o.notification_id = g.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

# Every row that is old enough is deleted, so no position is needed. There are never many rows.
DELIVERY_STATUSES: Final = """
with chunk as (
    select job_id, created_at as time from delivery_statuses
    where created_at < $1 and created_at >= $2
    order by created_at limit $4 for update skip locked
), deleted_rows as (
    delete from delivery_statuses d using chunk c where d.job_id = c.job_id returning d.job_id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, $3::uuid as id
from chunk order by time desc limit 1"""

# Cancels whose job, execution or notification no longer exists. There are never many rows.
CANCELS: Final = """
with jobs as (
    delete from job_cancels where requested_at < $1 returning 1
), executions as (
    delete from execution_cancels where requested_at < $1 returning 1
), notifications as (
    delete from notification_cancels where requested_at < $1 returning 1
)
select (select count(*) from jobs) + (select count(*) from executions) + (select count(*) from notifications)"""

DEAD_LETTERS: Final = """
with chunk as (
    select id, failed_at as time from dead_letters
    where failed_at < $1 and (failed_at, id) > ($2, $3)
    order by failed_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from dead_letters d using chunk c where d.id = c.id returning d.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

DELETED_DEAD_LETTERS: Final = """
with chunk as (
    select id, deleted_at as time from deleted_dead_letters
    where deleted_at < $1 and (deleted_at, id) > ($2, $3)
    order by deleted_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from deleted_dead_letters d using chunk c where d.id = c.id returning d.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

REPLAY_RUNS: Final = """
with chunk as (
    select id, started_at as time, ended_at is not null as done from replay_runs
    where started_at < $1 and (started_at, id) > ($2, $3)
    order by started_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from replay_runs r using chunk c where r.id = c.id and c.done returning r.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

REFUSALS: Final = """
with chunk as (
    select id, received_at as time from refusals
    where received_at < $1 and (received_at, id) > ($2, $3)
    order by received_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from refusals r using chunk c where r.id = c.id returning r.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

AUDIT_ENTRIES: Final = """
with chunk as (
    select id, at as time from audit_entries
    where at < $1 and (at, id) > ($2, $3)
    order by at, id limit $4 for update skip locked
), deleted_rows as (
    delete from audit_entries a using chunk c where a.id = c.id returning a.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

ALERT_FIRINGS: Final = """
with chunk as (
    select id, pending_since as time, resolved_at < $1 as done from alert_firings
    where pending_since < $1 and (pending_since, id) > ($2, $3)
    order by pending_since, id limit $4 for update skip locked
), deleted_rows as (
    delete from alert_firings a using chunk c where a.id = c.id and c.done returning a.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

# A key that was valid within the time of the audit is kept, because entries name it.
API_KEYS: Final = """
with chunk as (
    select id, created_at as time, coalesce(least(revoked_at, expires_at) < $1, false) as done from api_keys
    where created_at < $1 and (created_at, id) > ($2, $3)
    order by created_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from api_keys k using chunk c where k.id = c.id and c.done returning k.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""


# The buckets of one figure.
ROLLUPS: Final = """
with chunk as (
    select resolution, figure, at, subject, part, outcome from rollups
    where resolution = $1 and figure = $2 and at < $3 order by at limit $4
), deleted_rows as (
    delete from rollups r using chunk c
    where r.resolution = c.resolution and r.figure = c.figure and r.at = c.at and r.subject = c.subject
        and r.part = c.part and r.outcome = c.outcome
    returning 1
)
select count(*) from deleted_rows"""


# The newest event of a segment is older than $1. $2: the segments of one chunk, because each has many rows.
SEARCH_SEGMENTS: Final = """
with chunk as (
    select no from search_segments where last_at < $1 order by last_at limit $2
), deleted_rows as (
    delete from search_segments s using chunk c where s.no = c.no returning s.no
), deleted_words as (
    delete from search_words w using deleted_rows g where w.segment = g.no
)
select count(*) from deleted_rows"""
