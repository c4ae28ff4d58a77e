-- Indexes of executions in rare states that a claim does not change
-- depends: 0139_flow_drafts.pre
-- transaction: false

-- migrate: apply

-- Postgres writes a new entry into every index of a row if an update changes a column of any index, also one that is only
-- in the condition of a partial index. Each claim changes `status`, so no condition names it. Every execution that
-- failed has an error, one that is cancelled was to be cancelled, and one that waits or retries has a time of its end.
create index concurrently if not exists executions_errors_ended on executions (ended_at, id) where error is not null;
create index concurrently if not exists executions_errors_queued on executions (queued_at, id) where error is not null;
create index concurrently if not exists executions_errors_flow on executions (flow_id, queued_at, id)
    where error is not null;
create index concurrently if not exists executions_errors_fingerprint on executions (fingerprint, queued_at, id)
    where error is not null;
create index concurrently if not exists executions_errors_kind
    on executions (split_part(fingerprint, ':', 1), queued_at, id) where error is not null;
create index concurrently if not exists executions_to_cancel on executions (queued_at, id) where cancel_requested;
create index concurrently if not exists executions_wake_queued on executions (queued_at, id) where wake_at is not null;

-- migrate: rollback

drop index concurrently if exists executions_errors_ended;
drop index concurrently if exists executions_errors_queued;
drop index concurrently if exists executions_errors_flow;
drop index concurrently if exists executions_errors_fingerprint;
drop index concurrently if exists executions_errors_kind;
drop index concurrently if exists executions_to_cancel;
drop index concurrently if exists executions_wake_queued;
