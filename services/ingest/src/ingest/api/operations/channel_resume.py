"""The route that resumes a channel: it closes the circuit and makes the messages that wait for it due now."""

from typing import Any, Final

import msgspec

from filas.contract.policies import NOTIFICATIONS
from filas.queue.channel_circuits import ChannelCircuits
from filas.queue.operations.job_control import JobControl
from ingest.api.routing.identifiers import existing_id
from ingest.api.routing.problems import not_found
from ingest.api.routing.route_types import Answer, Call, Query, Route

PAGE: Final = 200
MAX_PAGES: Final = 25
"""How many delayed jobs one call reads at most. Later ones are due by themselves when the pause would have ended."""


class ChannelResumed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`changed`: the circuit was not closed before. `promoted`: the messages of the channel that are due now. `more`:
    further messages may wait until they are due by themselves."""

    id: str
    changed: bool
    promoted: int
    more: bool


async def resume_channel(call: Call[None, Query]) -> Answer:
    """Closes the circuit of a channel, and makes its delayed messages due now. A channel that still fails is paused
    again."""
    channel_id = existing_id("channel", call.path["id"])
    if await call.context.channels.get(channel_id) is None:
        raise not_found("channel", channel_id)
    circuits = ChannelCircuits(call.context.redis)

    async def before() -> dict[str, Any]:
        return {"circuit": await circuits.status(channel_id)}

    call.audit.after = {"circuit": {"state": "closed"}}
    changed = await call.audit.change(lambda: circuits.close(channel_id), before=before)
    waiting, more = await _delayed_jobs(call, channel_id)
    control = JobControl(call.context.redis, call.context.producer)
    outcomes = [await control.promote(NOTIFICATIONS, job_id) for job_id in waiting]
    return Answer(ChannelResumed(id=channel_id, changed=changed, promoted=outcomes.count("done"), more=more))


async def _delayed_jobs(call: Call[None, Query], channel_id: str) -> tuple[list[str], bool]:
    """Returns the delayed jobs of the channel, and whether there are delayed jobs that were not read."""
    found: list[str] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await call.context.stats.jobs(NOTIFICATIONS, "delayed", PAGE, cursor)
        found += [
            job.id for job in page.items if isinstance(job.data, dict) and job.data.get("channelId") == channel_id
        ]
        cursor = page.next_cursor
        if cursor is None:
            return found, False
    return found, True


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="POST",
        path="/channels/{id}/resume",
        handler=resume_channel,
        role="operator",
        summary="Close the circuit of a channel, and make the messages that wait for it due now.",
        answer=ChannelResumed,
        query=Query,
    ),
)
