-- The fingerprints of errors
-- depends: 0005_delivery_statuses.pre

-- migrate: apply

-- `KIND:NODE:HASH` (filas.contract.fingerprints). Null for a row that has not failed, or that failed in an older version.
alter table executions add column fingerprint text;
alter table dead_letters add column fingerprint text;

-- migrate: rollback

alter table executions drop column fingerprint;
alter table dead_letters drop column fingerprint;
