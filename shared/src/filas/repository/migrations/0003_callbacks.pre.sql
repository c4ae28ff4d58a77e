-- Calls that executions wait for
-- depends: 0002_replies.pre

-- migrate: apply

-- One row an address that was called, or closed. `payload`: what the call has brought; null: nobody has called while
-- that was of use, and nobody can any more. `taken_at`: since when its execution knows. An address may be called
-- before its execution waits for that.
create table callbacks (
    id uuid primary key,
    execution_id uuid not null,
    payload json,
    received_at timestamptz not null default now(),
    taken_at timestamptz
);
create index callbacks_execution on callbacks (execution_id);
create index callbacks_untaken on callbacks (execution_id) where taken_at is null;

-- The callback that the execution waits for, until the checkpoint after it has gone on.
alter table executions add column awaits_callback uuid;

-- migrate: rollback

alter table executions drop column awaits_callback;
drop table callbacks;
