-- The index of the notifications that failed
-- depends: 0005_delivery_statuses.pre
-- transaction: false

-- migrate: apply

create index concurrently if not exists notifications_failed on notifications (ended_at, id) where status = 'failed';

-- migrate: rollback

drop index concurrently if exists notifications_failed;
