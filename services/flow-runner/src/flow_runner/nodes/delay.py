"""Runs `delay`. The end of the delay is in the execution's row, so waiting needs no worker."""

from datetime import datetime, timedelta

from filas.flows import author_settings
from filas.flows.nodes.delay import DelayData
from filas.flows.templates import template
from filas.flows.timing import intervals, moments
from filas.flows.value_limits import DELAY_MAX_MS
from flow_runner.engine.node_protocol import Done, NodeFailure, Visit, Wait


async def run(visit: Visit) -> Done | Wait:
    data: DelayData = visit.data
    if visit.pending is not None and visit.pending.wake_at is not None:
        visit.input = visit.pending.input
        until = visit.pending.wake_at
    else:
        until = _until(visit)
        visit.input = {"until": until.isoformat()}
    output = {"until": until.isoformat()}
    if visit.pending is not None and visit.pending.reply is not None:
        return Done(output | {"endedBy": "reply"})
    if until > visit.now:
        return Wait(until, awaits_reply=data.end_on_reply)
    return Done(output | {"endedBy": "time"} if data.end_on_reply else output)


def _until(visit: Visit) -> datetime:
    data: DelayData = visit.data
    field = "cron" if data.cron is not None else "every" if data.every is not None else "until"
    zone = data.timezone or author_settings.current().zone
    try:
        if data.ms is not None:
            return visit.now + timedelta(milliseconds=data.ms)
        if data.every is not None:
            until = intervals.after(data.every, zone, visit.now)
        elif data.cron is not None:
            until = moments.next_moment(data.cron, zone, visit.now)
        else:
            until = moments.parse_moment(template.parse(data.until or "").evaluate(visit.scope.roots), zone)
    except template.TemplateError:
        raise
    except ValueError as error:
        raise NodeFailure("delay", f"{field}: {error}") from None
    if until - visit.now > timedelta(milliseconds=DELAY_MAX_MS):
        raise NodeFailure("delay", f"{field}: {until.isoformat()} is more than 30 days away: use a schedule instead")
    return until
