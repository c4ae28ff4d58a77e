-- Second duplicate keys of events, and digests of their contents
-- depends: 0005_delivery_statuses.pre

-- migrate: apply

-- One row for each signed content of a sender whose signature does not cover its duplicate key. `id` is derived from the
-- webhook and the content. A table of its own takes no lock on `events`, and other senders have no row in it. A row is
-- deleted with its event.
create table event_keys (
    id       uuid primary key,
    event_id uuid not null
);
create index event_keys_event on event_keys (event_id);

-- A digest of what the duplicate key identifies. Null without a duplicate key, and for events of older versions.
alter table events add column content_digest bytea;

-- migrate: rollback

alter table events drop column content_digest;
drop table event_keys;
