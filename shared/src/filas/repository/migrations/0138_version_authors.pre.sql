-- Who stored a version of a flow
-- depends: 0137_event_duplicates.pre

-- migrate: apply

-- The name of the key, as in the audit. Null for the versions that an older version of this code stored.
alter table flow_versions add column created_by text;

-- migrate: rollback

alter table flow_versions drop column created_by;
