-- What providers say of messages, until it is told
-- depends: 0004_schedules.pre

-- migrate: apply

-- One row a status that the notifier has still to tell its notification, from the moment its event is processed.
-- `job_id` is that of its job on `notifications`, `message` the job's message. A row that is told is deleted.
create table delivery_statuses (
    job_id     text primary key,
    message    json not null,
    created_at timestamptz not null default now()
);

-- migrate: rollback

drop table delivery_statuses;
