-- Executions that a message resumes, that start where another failed, and that replay another
-- depends: 0001_initial.pre

-- migrate: apply

-- `carries_message`: it was started by a message of its conversation, which may be the reply that another
-- execution waits for. Then it runs nothing itself: `resumed_id` and `resumed_turn` name that execution, and the
-- turn in which that goes on.
-- `awaits_reply_since`: since when a message of the conversation may end its wait. `reply_id`: the execution whose
-- message has ended it; its next checkpoint forgets it.
-- `replay_of`: the execution that it runs anew, from the position `start_state` (null: from the beginning).
-- Constant defaults: no row is rewritten.
alter table executions
    add column carries_message boolean not null default false,
    add column awaits_reply_since timestamptz,
    add column reply_id uuid,
    add column resumed_id uuid,
    add column resumed_turn integer,
    add column replay_of uuid,
    add column start_state json;

-- Its columns change only where an execution begins or ends to wait for a reply.
create index executions_awaiting on executions (conversation_id) where awaits_reply_since is not null;
create index executions_resumed on executions (resumed_id) where resumed_id is not null;

-- migrate: rollback

drop index executions_awaiting, executions_resumed;
alter table executions
    drop column carries_message, drop column awaits_reply_since, drop column reply_id, drop column resumed_id,
    drop column resumed_turn, drop column replay_of, drop column start_state;
