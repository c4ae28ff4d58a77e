-- Indexes of the executions that failed
-- depends: 0110_fingerprints.pre
-- transaction: false

-- migrate: apply

create index concurrently if not exists executions_failed on executions (ended_at, id)
    where status in ('failed', 'timed-out');
create index concurrently if not exists executions_failed_queued on executions (queued_at, id)
    where status in ('failed', 'timed-out');
create index concurrently if not exists executions_replay on executions (replay_of) where replay_of is not null;

-- migrate: rollback

drop index concurrently if exists executions_failed;
drop index concurrently if exists executions_failed_queued;
drop index concurrently if exists executions_replay;
