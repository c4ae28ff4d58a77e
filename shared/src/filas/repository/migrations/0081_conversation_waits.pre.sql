-- The executions of a conversation that wait
-- depends: 0080_conversation_turns.pre
-- transaction: false

-- migrate: apply

create index concurrently if not exists executions_waiting on executions (conversation_id) where wake_at is not null;

-- migrate: rollback

drop index concurrently if exists executions_waiting;
