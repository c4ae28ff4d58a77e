-- Indexes of rare states, and of errors
-- depends: 0120_search_index.pre
-- transaction: false

-- migrate: apply

-- Each is partial: no insert of a row writes an entry, and neither does the ordinary end of a row. An entry is written
-- when the row gets the state; that update changes another index already, so it needs no further page. The condition of
-- the waits is written such that only the search for waits implies it.
create index concurrently if not exists events_failed on events (received_at, id) where status = 'failed';
create index concurrently if not exists events_ignored on events (received_at, id) where status = 'ignored';
create index concurrently if not exists events_reason on events (reason, received_at, id) where reason is not null;
create index concurrently if not exists executions_failed_flow on executions (flow_id, queued_at, id)
    where status in ('failed', 'timed-out');
create index concurrently if not exists executions_fingerprint on executions (fingerprint, queued_at, id)
    where status in ('failed', 'timed-out');
create index concurrently if not exists executions_error on executions (split_part(fingerprint, ':', 1), queued_at, id)
    where status in ('failed', 'timed-out');
create index concurrently if not exists executions_cancelled on executions (queued_at, id) where status = 'cancelled';
create index concurrently if not exists executions_waiting_queued on executions (queued_at, id)
    where left(status, 4) in ('wait', 'retr');
create index concurrently if not exists notifications_failed_created on notifications (created_at, id)
    where status = 'failed';
create index concurrently if not exists notifications_cancelled on notifications (created_at, id)
    where status = 'cancelled';
create index concurrently if not exists notifications_channel_failed on notifications (channel_id, created_at, id)
    where status = 'failed';
create index concurrently if not exists dead_letters_fingerprint on dead_letters (fingerprint, failed_at, id);
create index concurrently if not exists dead_letters_open on dead_letters (failed_at, id) where replayed_at is null;

-- migrate: rollback

drop index concurrently if exists events_failed;
drop index concurrently if exists events_ignored;
drop index concurrently if exists events_reason;
drop index concurrently if exists executions_failed_flow;
drop index concurrently if exists executions_fingerprint;
drop index concurrently if exists executions_error;
drop index concurrently if exists executions_cancelled;
drop index concurrently if exists executions_waiting_queued;
drop index concurrently if exists notifications_failed_created;
drop index concurrently if exists notifications_cancelled;
drop index concurrently if exists notifications_channel_failed;
drop index concurrently if exists dead_letters_fingerprint;
drop index concurrently if exists dead_letters_open;
