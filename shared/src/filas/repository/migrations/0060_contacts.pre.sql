-- Contacts and their aliases; the conversations of contacts
-- depends: 0005_delivery_statuses.pre

-- migrate: apply

-- `address`: what messages are sent to, as the provider wrote it last. `merged_into`: the contact that this one turned
-- out to be.
create table contacts (
    id          uuid primary key,
    channel     text not null,
    address     text not null,
    name        text,
    merged_into uuid,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now()
) with (fillfactor = 80);
create index contacts_merged on contacts (merged_into) where merged_into is not null;

-- `alias`: an address in its canonical form (see `filas.contacts`).
create table contact_aliases (
    channel    text not null,
    alias      text not null,
    contact_id uuid not null,
    primary key (channel, alias)
);
create index contact_aliases_contact on contact_aliases (contact_id);

-- `contact_id` is null until a process of this version has found the contact of a conversation of an older version.
-- `account`: our own number, if the channel has none. `merged_into`: the conversation that this one is a part of now.
alter table conversations add column contact_id uuid, add column account text, add column merged_into uuid;

-- migrate: rollback

alter table conversations drop column contact_id, drop column account, drop column merged_into;
drop table contact_aliases, contacts;
