-- The index of the events that replay another one
-- depends: 0131_edited_replays.pre
-- transaction: false

-- migrate: apply

create index concurrently if not exists events_replay on events (replay_of, received_at, id) where replay_of is not null;

-- migrate: rollback

drop index concurrently if exists events_replay;
