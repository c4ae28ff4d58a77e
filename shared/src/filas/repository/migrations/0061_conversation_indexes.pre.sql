-- Indexes of the conversations of a contact
-- depends: 0060_contacts.pre
-- transaction: false

-- migrate: apply

create index concurrently if not exists conversations_contact on conversations (contact_id);
create index concurrently if not exists conversations_unlinked on conversations (id) where contact_id is null;
create index concurrently if not exists conversations_merged on conversations (id) where merged_into is not null;

-- migrate: rollback

drop index concurrently if exists conversations_contact;
drop index concurrently if exists conversations_unlinked;
drop index concurrently if exists conversations_merged;
