-- Replays of many that run in the background
-- depends: 0131_edited_replays.pre

-- migrate: apply

-- `definition`: what is replayed and how (filas.models.replay_runs.ReplayDefinition). `position_at` and `position_id`: the
-- last row that was handled. `owner` and `lease_until`: the process that works on it. `expected`: how many matched at the
-- start, null if they were too many to count in time.
create table replay_runs (
    id          uuid primary key,
    definition  json not null,
    status      text not null,
    rate        float8,
    expected    integer,
    handled     integer not null default 0,
    replayed    integer not null default 0,
    refused     json not null default '[]',
    refusals    integer not null default 0,
    position_at timestamptz,
    position_id uuid,
    error       text,
    started_by  text not null,
    started_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    ended_at    timestamptz,
    owner       text,
    lease_until timestamptz
);
create index replay_runs_time on replay_runs (started_at, id);
create index replay_runs_running on replay_runs (started_at) where status = 'running';

-- migrate: rollback

drop table replay_runs;
