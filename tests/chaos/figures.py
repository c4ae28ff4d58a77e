"""Reads the figures that Filas reports after a run, and counts the same from the rows."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

import aiohttp
import asyncpg

from tests.chaos.dashboards import counts_of
from tests.chaos.flows import BROKEN, PARENT
from tests.chaos.observed import Figures
from tests.chaos.schedule import Fault
from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline

BUILT_S: Final = 400.0
"""How long the rollups may take after the work has ended. A round follows after 30 s, but after ten times as long as
the last one took if the machine is busy: at most five minutes. Another worker takes the lease within another minute."""

IN_FLIGHT_S: Final = 20.0
"""How long a job may run that was claimed before Redis lost its data. Its end is not counted."""

ROLLUPS: Final = ("received", "events", "executions", "nodes", "outputs", "endings", "deliveries")

TRUE_FIGURES: Final = """
with ended as materialized (
    select id, flow_id, node_id, status from executions where ended_at is not null and resumed_id is null
), visits as materialized (
    select e.flow_id, coalesce(s.node_id, e.node_id) as node_id, s.status, s.handle, e.status as ending,
        row_number() over (partition by e.id order by s.seq desc nulls last) = 1 as is_last
    from ended e left join steps s on s.execution_id = e.id
)
select concat_ws(' ', 'received', webhook_id) as name, count(*) as number from events group by 1
union all
select concat_ws(' ', 'events', webhook_id, status), count(*) from events where processed_at is not null group by 1
union all
select concat_ws(' ', 'executions', flow_id, status), count(*) from ended group by 1
union all
select concat_ws(' ', 'nodes', flow_id, node_id, status), count(*) from visits where status is not null group by 1
union all
select concat_ws(' ', 'outputs', flow_id, node_id, handle), count(*) from visits where handle is not null group by 1
union all
select concat_ws(' ', 'endings', flow_id, nullif(node_id, ''), ending), count(*) from visits where is_last group by 1
union all
select concat_ws(' ', 'deliveries', channel_id, status), count(*) from notifications where ended_at is not null
group by 1"""

FINISHED: Final = """
select (select count(*) from events where processed_at > $1) as webhook,
    (select count(*) from executions where ended_at > $1 and started_at > $1 and resumed_id is null) as flow,
    (select count(*) from notifications where ended_at > $1 and created_at > $1) as notification"""
"""How many rows of each queue have ended since a time."""

SERIES: Final = re.compile(r"^(\w+)\{([^}]*)\} ([0-9.e+]+)$", re.MULTILINE)
EVENTS_OF_OVERVIEW: Final = re.compile(r">([\d,]+) events?<")


async def read_figures(
    pipeline: Pipeline,
    pool: "asyncpg.Pool[asyncpg.Record]",
    faults: Sequence[Fault],
    began_at: datetime,
    signed_in: aiohttp.ClientSession,
) -> Figures:
    """Everything that can be compared. Waits until the rollups equal the rows, at most BUILT_S. `began_at` is when the
    faults began; `signed_in` is the session of a dashboard."""
    true = {row["name"]: row["number"] for row in await pool.fetch(TRUE_FIGURES)}
    deadline = time.monotonic() + BUILT_S
    while True:
        reported = await _rollups(pipeline, began_at)
        if reported == true or time.monotonic() > deadline:
            break
        await asyncio.sleep(2.0)
    for flow in (BROKEN, PARENT):
        true[f"list {flow}"] = await pool.fetchval("select count(*) from executions where flow_id = $1", flow)
        reported[f"list {flow}"] = len({one["id"] for one in await pipeline.executions(flowId=flow)})
    true |= _edges(true)
    reported |= await _traffic(pipeline, began_at, {name.split()[1] for name in true if name.startswith("edge ")})
    true["overview"] = sum(count for name, count in true.items() if name.startswith("received "))
    reported["overview"] = await _overview(pipeline, signed_in, true["overview"])
    lost_at = max((one.at_s for one in faults if one.loses_redis), default=None)
    since = began_at + timedelta(seconds=-3600.0 if lost_at is None else lost_at + IN_FLIGHT_S)
    finished = await pool.fetchrow(FINISHED, since)
    assert finished is not None
    stats = counts_of(await pipeline.api("GET", "/api/queue/stats"))
    return Figures(reported, true, stats, dict(finished), await _metrics(pipeline))


async def _rollups(pipeline: Pipeline, began_at: datetime) -> dict[str, int]:
    found: dict[str, int] = {}
    for figure in ROLLUPS:
        answer = await pipeline.api("GET", f"/api/analytics/{figure}/groups?{_period(began_at)}&limit=500")
        for one in answer["groups"]:
            name = " ".join(part for part in (figure, one["subject"], one.get("nodeId")) if part)
            if figure == "received":
                found[name] = one["count"]
            else:
                found |= {f"{name} {outcome}": count for outcome, count in one["outcomes"].items()}
    return found


def _period(began_at: datetime) -> str:
    """A period with every row. Rows of the set-up are a few minutes older than the beginning."""
    since, until = began_at - timedelta(hours=1), datetime.now(began_at.tzinfo) + timedelta(minutes=2)
    return urlencode({"since": since.isoformat(), "until": until.isoformat(), "step": "minute"})


def _edges(true: Mapping[str, int]) -> dict[str, int]:
    """How often each handle was left, as the edges of it: `edge FLOW NODE HANDLE`. The nodes of a subflow are in the
    traffic of its own flow."""
    return {
        "edge" + name.removeprefix("outputs"): n
        for name, n in true.items()
        if name.startswith("outputs") and "/" not in name
    }


async def _traffic(pipeline: Pipeline, began_at: datetime, flows: set[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for flow in flows:
        answer = await pipeline.api("GET", f"/api/flows/{flow}/traffic?{_period(began_at)}")
        found |= {f"edge {flow} {one['source']} {one['sourceHandle']}": one["count"] for one in answer["edges"]}
    return {name: count for name, count in found.items() if count}


async def _overview(pipeline: Pipeline, signed_in: aiohttp.ClientSession, expected: int) -> int:
    """The events of the last hour on the overview. It is read every ten seconds."""
    deadline = time.monotonic() + 30.0
    while True:
        async with signed_in.get(f"http://127.0.0.1:{pipeline.admin_ports['ingest-admin']}/dashboard/") as answer:
            shown = EVENTS_OF_OVERVIEW.search(await answer.text())
        number = -1 if shown is None else int(shown[1].replace(",", ""))
        if number == expected or time.monotonic() > deadline:
            return number
        await asyncio.sleep(2.0)


async def _metrics(pipeline: Pipeline) -> dict[str, dict[str, float]]:
    """The series of each process: `NAME{LABELS}` with its value."""
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    found: dict[str, dict[str, float]] = {}
    for process, port in pipeline.admin_ports.items():
        async with pipeline.session.get(f"http://127.0.0.1:{port}/metrics", headers=headers) as answer:
            text = await answer.text()
        found[process] = {f"{name}{{{labels}}}": float(value) for name, labels, value in SERIES.findall(text)}
    return found


def jobs_completed(metrics: Mapping[str, Mapping[str, float]], queue: str) -> int:
    """The completed jobs of a queue that all processes have counted since each of them started."""
    label = f'queue="{queue}"'
    return int(
        sum(
            value
            for series in metrics.values()
            for name, value in series.items()
            if name.startswith("filas_jobs_total") and label in name and 'outcome="completed"' in name
        )
    )
