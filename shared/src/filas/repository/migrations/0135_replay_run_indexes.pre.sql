-- Indexes of the rows of a replay run
-- depends: 0134_replay_run_members.pre
-- transaction: false

-- migrate: apply

create index concurrently if not exists dead_letters_replay_run on dead_letters (replay_run) where replay_run is not null;
create index concurrently if not exists executions_replay_run on executions (replay_run) where replay_run is not null;
create index concurrently if not exists events_replay_run on events (replay_run) where replay_run is not null;

-- migrate: rollback

drop index concurrently if exists dead_letters_replay_run;
drop index concurrently if exists executions_replay_run;
drop index concurrently if exists events_replay_run;
