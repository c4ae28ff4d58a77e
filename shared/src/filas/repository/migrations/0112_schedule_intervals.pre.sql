-- Schedules with an interval instead of a cron expression
-- depends: 0111_failure_indexes.pre

-- migrate: apply

-- `filas.models.interval.Interval`, for a schedule without `cron` and `at`.
alter table schedules add column every json;

-- migrate: rollback

alter table schedules drop column every;
