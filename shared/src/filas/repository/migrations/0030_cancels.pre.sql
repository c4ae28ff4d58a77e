-- What an operator has cancelled and has not ended yet
-- depends: 0005_delivery_statuses.pre

-- migrate: apply

-- A row is written before the cancel is passed to a worker, so that it survives the loss of Redis and a paused queue.
-- The owner of the queue deletes it when the job, the execution or the notification has ended.
create table job_cancels (
    queue        text not null,
    job_id       bytea not null,
    requested_at timestamptz not null default now(),
    primary key (queue, job_id)
);
create table execution_cancels (
    execution_id uuid primary key,
    requested_at timestamptz not null default now()
);
create table notification_cancels (
    notification_id uuid primary key,
    requested_at    timestamptz not null default now()
);

-- migrate: rollback

drop table job_cancels, execution_cancels, notification_cancels;
