-- The index of the words in events
-- depends: 0113_event_replays.pre

-- migrate: apply

-- Built by one `ingest admin` at a time from the rows of events; nothing else writes these tables, and no insert of an
-- event does. An event is in one segment at most. `times` and `ids`: `received_at` (8 bytes, microseconds since 1970) and
-- `id` (16 bytes) of its events, ordered by both. They are not compressed, so that a part of them can be read alone.
create table search_segments (
    no       bigint primary key,
    events   integer not null,
    first_at timestamptz not null,
    last_at  timestamptz not null,
    times    bytea not null,
    ids      bytea not null
);
alter table search_segments alter column times set storage external, alter column ids set storage external;
create index search_segments_last on search_segments (last_at, no);

-- The sorted words of a segment, in parts. `first`: the first word of the part, in UTF-8. `words`: see
-- filas.repository.search.word_parts.
create table search_words (
    segment bigint not null,
    first   bytea not null,
    words   bytea not null,
    primary key (segment, first)
);
alter table search_words alter column words set storage external;

-- How far the index has come, and who builds it. Events received before `next_at` and after `history_at` are in it;
-- `history_at` moves back, and is null at the end. `late_at` and `late_id`: the event up to which processed events were
-- examined, because events may be written later than they were received.
create table search_progress (
    only_row   boolean primary key default true check (only_row),
    owner      text not null,
    expires_at timestamptz not null,
    next_at    timestamptz,
    next_id    uuid,
    history_at timestamptz,
    history_id uuid,
    late_at    timestamptz,
    late_id    uuid,
    next_no    bigint not null default 1
);
insert into search_progress (owner, expires_at) values ('', '-infinity');

-- migrate: rollback

drop table search_progress, search_words, search_segments;
