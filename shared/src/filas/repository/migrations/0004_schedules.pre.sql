-- Schedules: flows that begin at set times
-- depends: 0003_callbacks.pre

-- migrate: apply

-- `cron` in `timezone`, or the times of `at`. `next_run_at`: the first tick that has not been dealt with; null where
-- none is to come, and while the schedule is not enabled. `last_run_at`: the tick of the last run that was started.
create table schedules (
    id                text primary key,
    flow_id           text not null,
    version           integer,
    cron              text,
    timezone          text not null,
    at                timestamptz[],
    starts_at         timestamptz,
    ends_at           timestamptz,
    enabled           boolean not null,
    input             json not null,
    channel           text,
    contact           text,
    misfire           text not null,
    misfire_grace_ms  bigint not null,
    catch_up_limit    integer not null,
    revision          bigint not null,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    next_run_at       timestamptz,
    last_run_at       timestamptz,
    last_execution_id uuid,
    last_error        json
);
create index schedules_next on schedules (next_run_at) where next_run_at is not null;

-- migrate: rollback

drop table schedules;
