-- Indexes by which rollups find the rows that have ended
-- depends: 0095_rollups.pre
-- transaction: false

-- migrate: apply

-- An entry is written when the row ends. That update changes another index already, so it needs no further page.
create index concurrently if not exists events_processed on events (processed_at) where processed_at is not null;
create index concurrently if not exists executions_ended on executions (ended_at) where ended_at is not null;
create index concurrently if not exists notifications_ended on notifications (ended_at) where ended_at is not null;

-- migrate: rollback

drop index concurrently if exists events_processed;
drop index concurrently if exists executions_ended;
drop index concurrently if exists notifications_ended;
