"""The statements that read executions and their steps for readers."""

from typing import Final

STEPS_BYTES: Final = 2 * 2**20
"""How many bytes of inputs and outputs an execution shows. Later steps are shown without them."""

STEPS: Final = """
select seq, node_id, type, status, attempt, handle, error, started_at, ended_at, bytes_before >= $2 as cut,
    case when bytes_before < $2 then input end as input, case when bytes_before < $2 then output end as output
from (
    select *, coalesce(sum(coalesce(octet_length(input::text), 0) + coalesce(octet_length(output::text), 0))
        over (order by seq rows between unbounded preceding and 1 preceding), 0) as bytes_before
    from steps where execution_id = $1
) s
order by seq"""

SEARCH: Final = """
select id, status, flow_id, version, event_id, conversation_id, channel, contact, error, output, wake_at, queued_at,
    started_at, ended_at, replay_of, resumed_id, fingerprint,
    (select count(*) from notifications n
        where n.execution_id = executions.id and coalesce(n.status, '') = 'failed') as undelivered
from executions"""
GET: Final = SEARCH + " where id = $1"
