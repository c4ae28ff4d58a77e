-- The replays of an event
-- depends: 0112_schedule_intervals.pre

-- migrate: apply

-- `replay`: the number of the event's newest replay, so that the relay enqueues the job of the replay and not another
-- one. `run`: how many replays began after the event had been processed. The ids of its executions derive from it.
alter table events add column replay integer not null default 0, add column run integer not null default 0;

-- migrate: rollback

alter table events drop column replay, drop column run;
