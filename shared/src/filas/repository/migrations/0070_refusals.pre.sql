-- The requests that were refused
-- depends: 0005_delivery_statuses.pre

-- migrate: apply

-- Written in the background by each `ingest serve`. Null in `webhook_id`: no webhook has the path. Secrets are hidden
-- before a row is written.
create table refusals (
    id           uuid primary key,
    received_at  timestamptz not null,
    webhook_id   text,
    path         text not null,
    method       text not null,
    address      text not null,
    status       integer not null,
    reason       text not null,
    detail       text not null,
    size         bigint not null,
    headers      json not null,
    query_params json not null,
    body         bytea not null
);
create index refusals_received on refusals (received_at, id);

-- migrate: rollback

drop table refusals;
