-- Keys of the API, and the audit of changes
-- depends: 0005_delivery_statuses.pre

-- migrate: apply

-- Of the key itself only its HMAC is stored. `prefix` is its beginning, to recognise it by.
create table api_keys (
    id           uuid primary key,
    name         text not null,
    role         text not null,
    prefix       text not null,
    hash         bytea not null unique,
    created_at   timestamptz not null default now(),
    created_by   text not null,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    revoked_by   text,
    last_used_at timestamptz
);
create index api_keys_created on api_keys (created_at, id);

-- One row for each change, and one for the failed sign-ins of an address in a minute. Secrets are hidden before a row is
-- written. A subject (`webhooks/shop`) is compared as bytes, so that all subjects of a kind are one range of its index.
create table audit_entries (
    id      uuid primary key,
    at      timestamptz not null,
    last_at timestamptz not null,
    who     text not null,
    key_id  uuid,
    role    text,
    address text not null,
    action  text not null,
    subject text collate "C" not null,
    outcome text not null,
    count   bigint not null,
    before  json,
    after   json
);
create index audit_entries_at on audit_entries (at, id);
create index audit_entries_who on audit_entries (who, at, id);
create index audit_entries_action on audit_entries (action, at, id);
create index audit_entries_subject on audit_entries (subject, at, id);

-- migrate: rollback

drop table audit_entries;
drop table api_keys;
