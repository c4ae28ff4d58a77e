"""The statements that read conversations.

A conversation that was merged into another one keeps its executions; the columns `canonical_id` name the conversation
that it is a part of. `offset 0` keeps a subquery apart, so that it runs once for each row through an index.
"""

from typing import Final

LARGEST_CONTENT: Final = 256 * 1024
MAX_MEMBERS: Final = 100
MAX_EXECUTIONS: Final = 5000
"""How many of the newest executions of a conversation its messages and waits are read from."""

# $1-$2: the position after which the executions are read, the newest first. $3: how many. `newest`: the conversation
# has no newer execution, so it is listed here.
RECENT: Final = """
select e.queued_at, e.id, coalesce(v.merged_into, v.id) as canonical_id, v.channel,
    v.id is not null and not exists (
        select from executions n
        where n.conversation_id = e.conversation_id and (n.queued_at, n.id) > (e.queued_at, e.id) offset 0)
    and not exists (
        select from conversations c cross join lateral (
            select from executions n
            where n.conversation_id = c.id and (n.queued_at, n.id) > (e.queued_at, e.id) offset 0) n
        where c.contact_id = v.contact_id and c.id <> v.id
            and coalesce(c.merged_into, c.id) = coalesce(v.merged_into, v.id) offset 0) as newest
from (
    select queued_at, id, conversation_id from executions
    where (queued_at, id) < ($1, $2)
    order by queued_at desc, id desc limit $3
) e left join conversations v on v.id = e.conversation_id
order by e.queued_at desc, e.id desc"""

# $1: conversations. Each with the newest execution of it and of those that were merged into it.
SHOW: Final = """
select v.id, v.channel, v.contact, v.contact_id, t.address, t.name, v.account, v.created_at, v.updated_at,
    greatest(own.queued_at, merged.queued_at) as last_execution_at
from unnest($1::uuid[]) with ordinality as a (id, place)
    cross join lateral (select * from conversations where id = a.id offset 0) v
    left join lateral (select address, name from contacts where id = v.contact_id offset 0) t on true
    left join lateral (
        select queued_at from executions where conversation_id = v.id order by queued_at desc, id desc limit 1) own
        on true
    left join lateral (
        select max(n.queued_at) as queued_at
        from conversations c cross join lateral (
            select queued_at from executions where conversation_id = c.id order by queued_at desc, id desc limit 1) n
        where c.contact_id = v.contact_id and c.merged_into = v.id) merged on true
order by a.place"""

# $1: whole aliases. $2 and $3: ranges of reversed aliases.
OF_CONTACT: Final = """
with found as (
    select contact_id from contact_aliases where alias = any ($1::text[])
    union
    select a.contact_id from unnest($2::text[], $3::text[]) as r (first, last) cross join lateral (
        select contact_id from contact_aliases
        where reverse(alias) ~>=~ r.first and reverse(alias) ~<~ r.last limit $4) a
)
select c.id from found f cross join lateral (
    select id from conversations where contact_id = f.contact_id and merged_into is null offset 0) c
limit $4"""

CANONICAL: Final = """
select coalesce(merged_into, id) as id from conversations where id = $1"""

MEMBERS: Final = """
select c.id from conversations v join conversations c on c.contact_id = v.contact_id and c.merged_into = v.id
where v.id = $1 limit $2"""

# $1: conversations. $2: parts of words, without accents, in lower case, as they are in JSON. The messages of their
# newest executions that may contain all words; the caller compares their texts. `folded`: without accents. Only
# ASCII is compared, because the locale of a database may not know the lower case of other letters.
WITH_WORDS: Final = r"""
select a.id, m.incoming, m.content
from unnest($1::uuid[]) as a (id)
    cross join lateral (
        select a.id union all
        select c.id from conversations v join conversations c on c.contact_id = v.contact_id and c.merged_into = v.id
        where v.id = a.id) member
    cross join lateral (
        select e.id, e.carries_message, e.trigger::text as trigger from executions e
        where e.conversation_id = member.id order by e.queued_at desc, e.id desc limit $3) e
    cross join lateral (
        select true as incoming, e.trigger as content where e.carries_message
        union all
        select false, n.payload::text from notifications n where n.execution_id = e.id) m
    cross join lateral (
        select lower(case when octet_length(m.content) = char_length(m.content) then m.content
            else regexp_replace(replace(normalize(m.content, nfkd), 'ß', 'ss'),
                '[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe2f]', '', 'g')
            end) as folded offset 0) f
where octet_length(m.content) <= $4
    and not exists (select from unnest($2::text[]) as w (word) where position(w.word in f.folded) = 0)
limit $5"""

# $1: conversations. $2-$3: the position before which the messages are. $4: how many. $5: LARGEST_CONTENT.
INCOMING: Final = """
select m.* from unnest($1::uuid[]) as c (id) cross join lateral (
    select e.queued_at as at, e.id, e.event_id, coalesce(e.resumed_id, e.id) as execution_id,
        case when octet_length(e.trigger::text) <= $5 then e.trigger end as trigger
    from executions e
    where e.conversation_id = c.id and e.carries_message and (e.queued_at, e.id) < ($2, $3)
    order by e.queued_at desc, e.id desc limit $4) m
order by m.at desc, m.id desc limit $4"""

# $6: MAX_EXECUTIONS.
OUTGOING: Final = """
select n.* from unnest($1::uuid[]) as c (id) cross join lateral (
    select id from executions where conversation_id = c.id order by queued_at desc, id desc limit $6
) e cross join lateral (
    select created_at as at, id, execution_id, channel_id, status, attempts, uncertain, error, updated_at,
        case when octet_length(payload::text) <= $5 then payload end as payload
    from notifications
    where execution_id = e.id and (created_at, id) < ($2, $3) offset 0) n
order by n.at desc, n.id desc limit $4"""

EXECUTIONS: Final = """
select e.* from unnest($1::uuid[]) as c (id) cross join lateral (
    select id, flow_id, version, status, error, queued_at, ended_at from executions
    where conversation_id = c.id and resumed_id is null
    order by queued_at desc, id desc limit $2) e
order by e.queued_at desc, e.id desc limit $2"""

WAITS: Final = """
select e.id as execution_id, e.flow_id, e.status, s.node_id, s.started_at as since, e.wake_at
from unnest($1::uuid[]) as c (id) cross join lateral (
    select id, flow_id, status, wake_at, queued_at from executions
    where conversation_id = c.id order by queued_at desc, id desc limit $2
) e left join lateral (
    select node_id, started_at from steps
    where execution_id = e.id and status in ('waiting', 'retrying') order by seq desc limit 1) s on true
where e.status like 'waiting-%' or e.status = 'retrying'
order by e.queued_at desc, e.id desc limit $3"""
