-- No index of executions by their status, which each claim changes
-- depends: 0140_quiet_claims.pre
-- transaction: false

-- migrate: apply

drop index concurrently if exists executions_failed;
drop index concurrently if exists executions_failed_queued;
drop index concurrently if exists executions_failed_flow;
drop index concurrently if exists executions_fingerprint;
drop index concurrently if exists executions_error;
drop index concurrently if exists executions_cancelled;
drop index concurrently if exists executions_waiting_queued;

-- migrate: rollback

create index concurrently if not exists executions_failed on executions (ended_at, id)
    where status in ('failed', 'timed-out');
create index concurrently if not exists executions_failed_queued on executions (queued_at, id)
    where status in ('failed', 'timed-out');
create index concurrently if not exists executions_failed_flow on executions (flow_id, queued_at, id)
    where status in ('failed', 'timed-out');
create index concurrently if not exists executions_fingerprint on executions (fingerprint, queued_at, id)
    where status in ('failed', 'timed-out');
create index concurrently if not exists executions_error on executions (split_part(fingerprint, ':', 1), queued_at, id)
    where status in ('failed', 'timed-out');
create index concurrently if not exists executions_cancelled on executions (queued_at, id) where status = 'cancelled';
create index concurrently if not exists executions_waiting_queued on executions (queued_at, id)
    where left(status, 4) in ('wait', 'retr');
