-- The duplicates of events, and the times of delivery receipts
-- depends: 0136_deleted_dead_letters.pre

-- migrate: apply

-- One row for each event of which duplicates were received, written in the background. `conflicts`: those with another
-- content. Removed with the event.
create table event_duplicates (
    event_id  uuid primary key,
    count     bigint not null,
    conflicts bigint not null,
    first_at  timestamptz not null,
    last_at   timestamptz not null
);

-- When a receipt changed the notification to `delivered` or `read`. Null for a channel that confirms it in its response,
-- and for notifications of older versions.
alter table notifications add column delivered_at timestamptz, add column read_at timestamptz;

-- migrate: rollback

alter table notifications drop column delivered_at, drop column read_at;
drop table event_duplicates;
