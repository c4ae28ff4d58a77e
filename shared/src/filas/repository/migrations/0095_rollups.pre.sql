-- Figures over time, by minute, hour and day
-- depends: 0070_refusals.pre

-- migrate: apply

-- Built by one `ingest work` at a time from the rows of events, executions, steps, notifications and refusals; nothing
-- else writes them. `at`: the start of the minute, hour or day in UTC. `subject`: the webhook, flow, channel or queue;
-- `*` is the sum of all. `part`: the node. h0 to h31: a histogram of times; h0 counts those below 1 ms, and each
-- further one those below twice the time of the one before. Null is 0 and needs no room.
create table rollups (
    resolution text not null,
    figure     text not null,
    at         timestamptz not null,
    subject    text not null,
    part       text not null,
    outcome    text not null,
    count      bigint not null,
    sum_ms     double precision not null,
    h0 bigint, h1 bigint, h2 bigint, h3 bigint, h4 bigint, h5 bigint, h6 bigint, h7 bigint,
    h8 bigint, h9 bigint, h10 bigint, h11 bigint, h12 bigint, h13 bigint, h14 bigint, h15 bigint,
    h16 bigint, h17 bigint, h18 bigint, h19 bigint, h20 bigint, h21 bigint, h22 bigint, h23 bigint,
    h24 bigint, h25 bigint, h26 bigint, h27 bigint, h28 bigint, h29 bigint, h30 bigint, h31 bigint,
    primary key (resolution, figure, at, subject, part, outcome)
);

-- How far each pass over a source has come. `until_at`: where the pass ends; null: never.
create table rollup_progress (
    source   text not null,
    pass     text not null,
    next_at  timestamptz not null,
    until_at timestamptz,
    primary key (source, pass)
);

-- Buckets that must be built again. `marked_at` changes when a bucket is marked while it is being built.
create table rollup_marks (
    resolution text not null,
    source     text not null,
    at         timestamptz not null,
    marked_at  timestamptz not null,
    primary key (resolution, source, at)
);

-- The worker that builds.
create table rollup_lease (
    only_row   boolean primary key default true check (only_row),
    owner      text not null,
    expires_at timestamptz not null
);
insert into rollup_lease (owner, expires_at) values ('', '-infinity');

-- migrate: rollback

drop table rollup_lease, rollup_marks, rollup_progress, rollups;
