-- Indexes by which contacts are searched
-- depends: 0060_contacts.pre
-- transaction: false

-- migrate: apply

-- An alias is written once, when a contact is seen first. By the reversed alias, a number is found by its last digits.
create index concurrently if not exists contact_aliases_alias on contact_aliases (alias);
create index concurrently if not exists contact_aliases_reversed on contact_aliases (reverse(alias) text_pattern_ops);

-- migrate: rollback

drop index concurrently if exists contact_aliases_alias;
drop index concurrently if exists contact_aliases_reversed;
