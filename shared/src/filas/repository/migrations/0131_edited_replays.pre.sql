-- Events that replay another one with an edited body
-- depends: 0113_event_replays.pre

-- migrate: apply

-- The event whose request this one repeats with another body. Null for an event that a sender sent.
alter table events add column replay_of uuid;

-- migrate: rollback

alter table events drop column replay_of;
