-- The outcomes of messages that executions do not know yet
-- depends: 0070_refusals.pre

-- migrate: apply

-- Written by the notifier in the statement that changes the status of the notification. The flow-runner deletes a row
-- when the execution knows it. `status` is one of `NotificationStatus`.
create table message_outcomes (
    notification_id uuid primary key,
    execution_id    uuid not null,
    status          text not null,
    error           json,
    created_at      timestamptz not null default now()
);

-- The status for which the execution waits: `sent` or `delivered`. Null: it waits for none, or only for a reply.
alter table notifications add column awaits text;

-- The notification for whose outcome the execution waits, until the checkpoint after it has gone on; and that outcome,
-- as a JSON object, from its arrival to the same checkpoint.
alter table executions add column awaits_message uuid, add column message_outcome json;

-- migrate: rollback

alter table executions drop column message_outcome, drop column awaits_message;
alter table notifications drop column awaits;
drop table message_outcomes;
