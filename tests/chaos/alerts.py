"""The alert rules of a run, and what they announced."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from tests.chaos.outside import Arrival
from tests.e2e.pipeline import Pipeline
from tests.e2e.test_main_job import CHANNEL_SECRET

EVERY_S: Final = 2
"""How often the rules are evaluated (`ALERT_EVERY_S`)."""

CHANNEL: Final = "alerts"
OPERATOR: Final = "operator"
WINDOW_S: Final = 60.0

FAILURES: Final = 3
"""How many executions of a flow have to fail within WINDOW_S."""

SHARE: Final = 0.5
MINIMUM: Final = 5
"""The share of a flow's executions that has to fail within WINDOW_S, of at least MINIMUM."""

LATE_S: Final = 10.0
"""How long a job has to wait."""

RULES: Final[dict[str, dict[str, Any]]] = {
    "chaos-share": {"metric": "flow-failure-rate", "threshold": SHARE, "minimum": MINIMUM},
    "chaos-failures": {"metric": "flow-failures", "threshold": FAILURES},
    "chaos-late": {"metric": "oldest-waiting", "threshold": LATE_S},
    "chaos-worker": {"metric": "no-worker"},
    "chaos-channel": {"metric": "channel-paused"},
    "chaos-memory": {"metric": "redis-memory", "threshold": 0.9},
    "chaos-connections": {"metric": "postgres-connections", "threshold": 0.95},
    "chaos-redis": {"metric": "finding", "code": "redis-unavailable"},
}
"""The rules by id. Each fires at the first evaluation, and again after each recovery."""

FIRINGS: Final = """
select id::text, rule_id, subject, state, value, fired_at, announced_at, resolved_at, recovery_announced_at
from alert_firings where fired_at is not null order by fired_at"""

MESSAGES: Final = """
select idempotency_key as key, status from notifications where execution_id is null"""

UNSETTLED: Final = """
select (select count(*) from alert_firings where resolved_at is null and rule_id = any($1::text[]))
    + (select count(*) from notifications where ended_at is null)"""


@dataclass(frozen=True, slots=True)
class Firing:
    """A row of `alert_firings` that has fired."""

    id: str
    rule_id: str
    subject: str
    state: str
    value: float
    fired_at: datetime
    announced_at: datetime | None
    resolved_at: datetime | None
    recovery_announced_at: datetime | None


@dataclass(frozen=True, slots=True)
class Alerts:
    """The firings of all rules, the status of each message about one by its key, and what has arrived."""

    firings: Sequence[Firing]
    messages: Sequence[tuple[str, str]]
    arrivals: Sequence[Arrival]


async def store_rules(pipeline: Pipeline, port: int) -> None:
    """Stores the rules, and the channel for their messages, which go to a receiver at `port`."""
    channel = {"type": "http", "url": f"http://127.0.0.1:{port}/{CHANNEL}", "secret": CHANNEL_SECRET}
    await pipeline.api("PUT", f"/api/channels/{CHANNEL}", channel)
    common = {
        "windowMs": int(WINDOW_S * 1000),
        "durationMs": 0,
        "cooldownMs": 0,
        "to": [{"channel": CHANNEL, "to": OPERATOR}],
    }
    for name, rule in RULES.items():
        await pipeline.api("PUT", f"/api/alerts/{name}", common | rule)


async def unsettled(pool: "asyncpg.Pool[asyncpg.Record]") -> int:
    """How many alerts of RULES are not over, and how many messages are on their way."""
    return int(await pool.fetchval(UNSETTLED, list(RULES)))


async def read_alerts(pool: "asyncpg.Pool[asyncpg.Record]", arrivals: Sequence[Arrival]) -> Alerts:
    """What the rules have announced so far."""
    firings = [Firing(**row) for row in await pool.fetch(FIRINGS)]
    messages = [(row["key"], row["status"]) for row in await pool.fetch(MESSAGES)]
    return Alerts(firings, messages, arrivals)
