"""The statements that replay executions."""

from typing import Final

REPLAYABLE: Final = """
select e.ended_at is not null as ended, e.resumed_id is not null as resumed, e.state is not null as has_state,
    f.published_version,
    $2::integer is null or exists (
        select from flow_versions v where v.flow_id = e.flow_id and v.version = $2) as has_version
from executions e left join flows f on f.id = e.flow_id
where e.id = $1"""

REPLAY_SOURCE: Final = """
select e.flow_id, e.version, f.published_version,
    case when octet_length(e.state::text) <= 2097152 then e.state end as state
from executions e left join flows f on f.id = e.flow_id
where e.id = $1"""

# The replies of the contact, the newest first.
REPLY_TRIGGERS: Final = """
select queued_at, trigger from executions
where resumed_id = $1 and octet_length(trigger::text) <= 1048576
order by queued_at desc limit 20"""

# $1: the execution to replay. $2: the new execution. $3: whether it starts where $1 failed. $4: whether it runs in the
# published version. $5: another trigger, or null. $6: another version, or null. $7: the node and $8 the state with
# which it starts, or null. $9: the replay run that creates it, or null.
REPLAY: Final = """
insert into executions (id, flow_id, version, node_id, event_id, conversation_id, channel, contact, trigger,
    replay_of, start_state, replay_run, ready_at, queued_at)
select $2, e.flow_id, coalesce($6::integer, case when $4 then f.published_version else e.version end),
    coalesce($7::text, e.node_id), e.event_id, e.conversation_id, e.channel, e.contact, coalesce($5::json, e.trigger),
    e.id, coalesce($8::json, case when $3 then e.state end), $9::uuid,
    now(), now()
from executions e left join flows f on f.id = e.flow_id
where e.id = $1
on conflict (id) do nothing
returning id, turn, flow_id, conversation_id, status, channel, contact, event_id"""
