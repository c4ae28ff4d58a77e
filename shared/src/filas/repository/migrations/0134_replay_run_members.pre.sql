-- Which rows a replay run has replayed
-- depends: 0133_replay_runs.pre

-- migrate: apply

-- Of a dead letter and an event: the run that replayed it last. Of an execution: the run that created it.
alter table dead_letters add column replay_run uuid;
alter table executions add column replay_run uuid;
alter table events add column replay_run uuid;

-- migrate: rollback

alter table events drop column replay_run;
alter table executions drop column replay_run;
alter table dead_letters drop column replay_run;
