"""The rows of past webhooks, written by Postgres itself: each event with its execution, steps, message and attempt.

The events are spread over the last 30 days, so that retention has rows to delete at any time. Ids are as random as
those that are derived from an event: an index of them has no place where all new entries go, which is what makes a
large index expensive. Ten events belong to one contact.
"""

from typing import Final

EVENTS_OF_A_CONTACT: Final = 10
STEPS: Final = ("start", "is-hi", "crm")

# $1 and $2: the first number and the one after the last. $3: how many there are in all. $4: the time of the newest.
_NUMBERS: Final = """
from (select n, $4::timestamptz - (($3::float8 - n) / $3) * interval '30 days' as at
    from generate_series($1::bigint, $2::bigint - 1) as n) as numbers"""


def _id(kind: str, number: str = "n") -> str:
    return f"md5('{kind}' || {number})::uuid"


_CONTACT: Final = f"n % greatest($3::bigint / {EVENTS_OF_A_CONTACT}, 1)"
_ADDRESS: Final = f"'55119' || lpad(({_CONTACT})::text, 8, '0')"

TABLES: Final = {
    "contacts": f"""
insert into contacts (id, channel, address, created_at, updated_at)
select {_id("contact")}, 'receiver', '55119' || lpad(n::text, 8, '0'), at, at {_NUMBERS}
where n < greatest($3::bigint / {EVENTS_OF_A_CONTACT}, 1)""",
    "contact_aliases": f"""
insert into contact_aliases (channel, alias, contact_id)
select 'receiver', '55119' || lpad(n::text, 8, '0'), {_id("contact")} {_NUMBERS}
where n < greatest($3::bigint / {EVENTS_OF_A_CONTACT}, 1)""",
    "conversations": f"""
insert into conversations (id, channel, contact, contact_id, created_at, updated_at)
select {_id("conversation")}, 'receiver', '55119' || lpad(n::text, 8, '0'), {_id("contact")}, at, at {_NUMBERS}
where n < greatest($3::bigint / {EVENTS_OF_A_CONTACT}, 1)""",
    "events": f"""
insert into events (id, webhook_id, flow_id, node_id, status, method, headers, query_params, body, content_type,
    remote_address, group_key, config, received_at, processed_at)
select {_id("event")}, 'shop-' || n % 20, 'bench', 'start', 'processed', 'POST',
    '{{"content-type":["application/json"],"user-agent":["facebookexternalua"]}}', '{{}}',
    convert_to(
        '{{"from":"' || {_ADDRESS} || '","id":"' || n || '","text":"oi ' || repeat(md5(n::text), 12) || '"}}', 'UTF8'),
    'application/json', '203.0.113.7', 'receiver:' || {_ADDRESS}, '{{}}', at, at + interval '100 ms' {_NUMBERS}""",
    "event_keys": f"insert into event_keys (id, event_id) select {_id('key')}, {_id('event')} {_NUMBERS}",
    "executions": f"""
insert into executions (id, status, flow_id, version, node_id, event_id, conversation_id, channel, contact, trigger,
    turn, fence, queued_at, started_at, ended_at, carries_message)
select {_id("execution")}, 'succeeded', 'flow-' || n % 20, 1, 'start', {_id("event")},
    {_id("conversation", f"({_CONTACT})")}, 'receiver', {_ADDRESS},
    ('{{"message":{{"kind":"text","text":"oi"}},"event":"' || n || '"}}')::json, 1, 1, at, at,
    at + interval '300 ms', true {_NUMBERS}""",
    "steps": f"""
insert into steps (execution_id, seq, node_id, type, status, attempt, handle, input, output, started_at, ended_at)
select {_id("execution")}, seq, ('{{{",".join(STEPS)}}}'::text[])[seq], 'condition', 'succeeded', 1, 'out',
    '{{"value":"oi"}}', '{{"status":200}}', at, at + interval '1 ms' {_NUMBERS}
cross join generate_series(1, {len(STEPS)}) as seq""",
    "notifications": f"""
insert into notifications (id, execution_id, conversation_id, seq, channel_id, recipient, payload, idempotency_key,
    status, attempts, due_at, created_at, updated_at, ended_at)
select {_id("notification")}, {_id("execution")}, {_id("conversation", f"({_CONTACT})")}, 5, 'receiver', {_ADDRESS},
    '{{"type":"text","text":"Recebemos o seu pedido"}}', {_id("execution")} || ':5', 'delivered', 1, at, at,
    at + interval '500 ms', at + interval '500 ms' {_NUMBERS}""",
    "notification_attempts": f"""
insert into notification_attempts (notification_id, attempt, outcome, status_code, started_at, ended_at)
select {_id("notification")}, 1, 'delivered', 200, at, at + interval '5 ms' {_NUMBERS}""",
}
"""The statement of each table. It writes the rows of the events from $1 to $2."""

# What is new is counted and indexed. Doing that for the filled rows would run beside every measurement.
SKIP_HISTORY: Final = (
    """
insert into rollup_progress (source, pass, next_at, until_at)
select source, pass, date_trunc('hour', now()), case when pass = 'history' then date_trunc('hour', now()) end
from unnest($1::text[]) as source, unnest('{fresh,history,settle-soon,settle-late}'::text[]) as pass
on conflict do nothing""",
    """
update search_progress set next_at = now(), history_at = '-infinity', late_at = now(), next_id = $1::uuid,
    history_id = $1::uuid, late_id = $1::uuid where next_at is null""",
)
