"""The statements of the tables `contacts` and `contact_aliases`, and of the conversations of contacts.

`offset 0` keeps a subquery apart, so that it runs once for each row through an index.
"""

from typing import Final

# $1-$3: the addresses that are looked up, with the number of the report that has them. One row for each known address
# and conversation of its contact.
FIND: Final = """
select a.place, a.alias, k.contact_id, t.address, v.id, v.contact, v.account, v.updated_at
from unnest($1::integer[], $2::text[], $3::text[]) as a (place, channel, alias)
    cross join lateral (
        select s.contact_id from contact_aliases s where s.channel = a.channel and s.alias = a.alias offset 0) k
    cross join lateral (select c.address from contacts c where c.id = k.contact_id offset 0) t
    left join lateral (
        select c.id, c.contact, c.account, c.updated_at from conversations c
        where c.contact_id = k.contact_id and c.merged_into is null offset 0) v on true"""

# Conversations of older versions, which have no contact yet.
FIND_UNLINKED: Final = """
select u.id, v.contact
from unnest($1::uuid[]) as u (id)
    cross join lateral (
        select c.contact from conversations c where c.id = u.id and c.contact_id is null offset 0) v"""

# $1-$3: new contacts. $4-$6: new aliases. $7-$11: conversations that are new, or that get their contact or our number.
# $12-$13: new addresses. $14: the ids that older versions may have given to the new conversations. The rows are written
# in the order of their keys, so that two of these statements do not deadlock. A new conversation is not written if its
# id or its contact is taken, and none is changed if one of $14 has no contact yet; the caller looks them up then.
# Returns whether each contact, alias and conversation was new and was written.
LEARN: Final = """
with unlinked as (
    select from unnest($14::uuid[]) as u (id)
        cross join lateral (select from conversations c where c.id = u.id and c.contact_id is null offset 0) v
), new_contacts as (
    insert into contacts (id, channel, address)
    select id, channel, address from unnest($1::uuid[], $2::text[], $3::text[]) as n (id, channel, address)
    order by id
    on conflict (id) do nothing
    returning id
), new_aliases as (
    insert into contact_aliases (channel, alias, contact_id)
    select channel, alias, contact_id from unnest($4::text[], $5::text[], $6::uuid[]) as n (channel, alias, contact_id)
    order by channel, alias
    on conflict (channel, alias) do nothing
    returning contact_id
), new_conversations as (
    insert into conversations (id, channel, contact, contact_id, account)
    select id, channel, contact, contact_id, account
    from unnest($7::uuid[], $8::text[], $9::text[], $10::uuid[], $11::text[])
        as n (id, channel, contact, contact_id, account)
    where not exists (select from unlinked)
    order by id
    on conflict do nothing
    returning id
), open_conversations as (
    select id from conversations
    where id = any ($7::uuid[]) and merged_into is null and (contact_id is null or account is null)
        and not exists (select from unlinked)
    order by id for update
), linked as (
    update conversations c set contact_id = coalesce(c.contact_id, n.contact_id),
        account = coalesce(c.account, n.account)
    from unnest($7::uuid[], $10::uuid[], $11::text[]) as n (id, contact_id, account)
        join open_conversations o on o.id = n.id
    where c.id = n.id
), moved as (
    update contacts c set address = n.address, updated_at = now()
    from unnest($12::uuid[], $13::text[]) as n (id, address)
    where c.id = n.id
)
select (select count(*) from new_contacts) = cardinality($1::uuid[])
    and (select count(*) from new_aliases) = cardinality($4::text[])
    and (select count(*) from new_conversations) = cardinality($7::uuid[]) as all_new"""

UNLINKED: Final = """
select id, channel, contact from conversations where contact_id is null and id > $1 order by id limit $2"""

MERGED: Final = """
select id, merged_into from conversations where merged_into is not null and id > $1 order by id limit $2"""

CHANNEL_TYPES: Final = "select id, type from channels where id = any ($1::text[]) and not deleted"

# Executions of older versions may begin in a conversation that has become a part of another one.
MOVE_EXECUTIONS: Final = """
with loser as (
    select * from unnest($1::uuid[], $2::uuid[]) as m (id, into_id)
), unfinished as (
    select e.id, m.into_id from loser m
        cross join lateral (
            select id from executions
            where conversation_id = m.id and status not in ('succeeded', 'failed', 'cancelled', 'timed-out') offset 0) f
        join executions e on e.id = f.id
    order by e.id for update of e
)
update executions e set conversation_id = v.id, contact = v.contact
from unfinished u join conversations v on v.id = u.into_id
where e.id = u.id
returning e.id"""

# $1: a conversation in which others have become a part. Of its open questions, only the one that was asked last is not
# superseded. Comes after LOCK_EXECUTIONS.
SUPERSEDE_QUESTIONS: Final = """
with open as (
    select q.id, row_number() over (order by q.awaits_reply_since desc, q.id) as place
    from executions q
    where q.conversation_id = $1 and q.awaits_reply_since is not null and q.status = 'waiting-input'
        and q.idle_at is not null
)
update executions e set superseded = true, wake_at = least(e.wake_at, greatest(e.idle_at, now()))
from open q where e.id = q.id and q.place > 1 and not e.superseded"""

# The statements of a merge. The executions are locked before the conversations, in the order of checkpoints.
LOCK_CONTACTS: Final = """
select id, address, created_at, updated_at from contacts where id = any ($1::uuid[]) order by id for update"""

CONVERSATIONS_OF: Final = """
select c.id from conversations c where c.contact_id = any ($1::uuid[]) and c.merged_into is null
union
select c.id from conversations c where c.id = any ($2::uuid[]) and c.merged_into is null"""

LOCK_EXECUTIONS: Final = """
with unfinished as (
    select f.id from unnest($1::uuid[]) as c (id)
        cross join lateral (
            select id from executions
            where conversation_id = c.id and status not in ('succeeded', 'failed', 'cancelled', 'timed-out') offset 0) f
)
select e.id, e.conversation_id, e.status = 'running' and e.lease_until > clock_timestamp() as runs
from executions e join unfinished u on u.id = e.id
order by e.id for update of e"""

LOCK_CONVERSATIONS: Final = """
select id, contact, contact_id, account, vars, created_at, updated_at from conversations
where id = any ($1::uuid[]) and merged_into is null
order by id for update"""

KEEP_CONVERSATION: Final = """
update conversations set contact_id = $2, account = $3, vars = $4::json where id = $1"""

MERGE_CONVERSATIONS: Final = """
update conversations set merged_into = $2, contact_id = $3 where id = any ($1::uuid[])"""

# Also the conversations that were merged into a loser before.
REDIRECT_CONVERSATIONS: Final = """
update conversations set merged_into = case when merged_into = any ($2::uuid[]) then $3 else merged_into end,
    contact_id = $4
where contact_id = any ($1::uuid[]) and merged_into is not null"""

MOVE_ALIASES: Final = "update contact_aliases set contact_id = $2 where contact_id = any ($1::uuid[])"

MERGE_CONTACTS: Final = """
update contacts set merged_into = $2, updated_at = now() where id = any ($1::uuid[])"""

REDIRECT_CONTACTS: Final = "update contacts set merged_into = $2 where merged_into = any ($1::uuid[])"

SET_ADDRESS: Final = "update contacts set address = $2, updated_at = now() where id = $1"

GET: Final = """
select c.* from contacts c
where c.id = coalesce((select m.merged_into from contacts m where m.id = $1), $1)"""
ALIASES: Final = "select alias from contact_aliases where contact_id = $1 order by alias limit $2"
CONVERSATIONS: Final = """
select id, channel, contact, account, merged_into, created_at, updated_at from conversations
where contact_id = $1 order by created_at, id limit $2"""
