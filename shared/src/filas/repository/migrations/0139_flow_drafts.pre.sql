-- Drafts of flows, and their saved tests
-- depends: 0138_version_authors.pre

-- migrate: apply

-- One draft for a flow, which may not be stored yet. `revision` grows with each save, also after a deletion.
-- `base_version`: the published version that the draft changes, 0 if none was published. Removed with the flow, when it
-- is published, and on request.
create table flow_drafts (
    flow_id      text primary key,
    definition   json not null,
    revision     bigint not null,
    base_version integer not null,
    saved_by     text not null,
    saved_at     timestamptz not null default now()
);

-- The saved tests of a flow: the input of a test run, and what is expected of it. Removed with the flow, and on request.
create table flow_tests (
    flow_id  text not null,
    name     text not null,
    request  json not null,
    expect   json not null,
    saved_by text not null,
    saved_at timestamptz not null default now(),
    primary key (flow_id, name)
);

-- migrate: rollback

drop table flow_tests;
drop table flow_drafts;
