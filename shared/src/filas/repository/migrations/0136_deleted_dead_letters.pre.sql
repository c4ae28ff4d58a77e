-- Dead letters that were deleted and can be restored
-- depends: 0134_replay_run_members.pre

-- migrate: apply

-- The rows of `dead_letters` that an operator has deleted, for some days. `deletion`: what was deleted together.
create table deleted_dead_letters (
    id              uuid primary key,
    queue           text not null,
    job_id          text not null,
    function        text not null,
    payload         bytea not null,
    group_key       text,
    error           json not null,
    attempts        integer not null,
    history         json not null,
    enqueued_at     timestamptz,
    failed_at       timestamptz not null,
    replayed_at     timestamptz,
    replayed_job_id text,
    fingerprint     text,
    replay_run      uuid,
    deletion        uuid not null,
    deleted_at      timestamptz not null default now()
);
create index deleted_dead_letters_time on deleted_dead_letters (deleted_at, id);
create index deleted_dead_letters_deletion on deleted_dead_letters (deletion);

-- migrate: rollback

drop table deleted_dead_letters;
