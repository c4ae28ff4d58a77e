-- Why an event is ignored
-- depends: 0005_delivery_statuses.pre

-- migrate: apply

-- Such as `kind:reaction`. Null for an event that is not ignored.
alter table events add column reason text;

-- migrate: rollback

alter table events drop column reason;
