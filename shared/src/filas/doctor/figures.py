"""What the alert rules measure: for each rule, its value for each flow, queue or channel."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from filas.contract.policies import QUEUES
from filas.doctor.examination import examine
from filas.doctor.stores import DoctorStores
from filas.errors import StoreUnavailable
from filas.models.alerts import AlertMetric, AlertRule, Observation
from filas.models.findings import Examination, Finding
from filas.queue.worker_presence import read_load

Observations = Mapping[str, Observation]
"""The observation of each subject; of a rule without subjects, that of the subject ``."""

_UNKNOWN: Final = frozenset({"redis-unavailable", "postgres-unavailable", "check-too-slow"})
"""The findings that state that something could not be examined. They are certain themselves."""

_PAGES: Final = {"flow": "/dashboard/executions?failed=1&flow=", "channel": "/dashboard/channels/"}


@dataclass(frozen=True, slots=True)
class Figures:
    """Measures rules over one examination. `measure` returns None if a store does not answer, so that nothing is
    concluded from missing figures."""

    stores: DoctorStores
    examined: Examination

    async def measure(self, rule: AlertRule) -> Observations | None:
        """The observations of a rule."""
        try:
            found = await _MEASURES[rule.metric](self, rule)
        except StoreUnavailable:
            return None
        return {name: one for name, one in found.items() if rule.subject in (None, name)}

    def require(self, part: str) -> None:
        """Raises StoreUnavailable if this part could not be examined."""
        state = next((one for one in self.examined.parts if one.part == part), None)
        unknown = any(one.code in _UNKNOWN for one in self.examined.findings)
        if state is not None and not state.ok and unknown:
            raise StoreUnavailable("postgres", f"{part} could not be examined")

    def finding(self, code: str, subject: str | None = None) -> Finding | None:
        """The finding with this code, of one subject or of any."""
        return next(
            (one for one in self.examined.findings if one.code == code and subject in (None, one.subject.id)), None
        )

    def observed(self, value: float, sentence: str, finding: Finding | None, path: str) -> Observation:
        """An observation with what the doctor knows about it."""
        if finding is None:
            return Observation(value=value, sentence=sentence, path=path)
        return Observation(
            value=value,
            sentence=sentence,
            cause=finding.message,
            remedy=finding.remedy,
            since=finding.since,
            path=path,
        )


async def figures(stores: DoctorStores) -> Figures:
    """Examines everything once, for all rules."""
    return Figures(stores, await examine(stores))


async def _flow_rates(figures: Figures, rule: AlertRule) -> Observations:
    found: dict[str, Observation] = {}
    for one in await figures.stores.rows.ended_by_flow(rule.window_ms / 1000):
        is_share = rule.metric == "flow-failure-rate"
        if not one.failed or (is_share and one.ended < rule.minimum):
            continue
        sentence = f"{one.failed} of {one.ended} executions of {one.name} failed or timed out"
        value = one.failed / one.ended if is_share else float(one.failed)
        finding = figures.finding("flow-failing", one.name)
        found[one.name] = figures.observed(value, sentence, finding, _PAGES["flow"] + one.name)
    return found


async def _undelivered(figures: Figures, rule: AlertRule) -> Observations:
    found: dict[str, Observation] = {}
    for one in await figures.stores.rows.ended_by_channel(rule.window_ms / 1000):
        if not one.failed or one.ended < rule.minimum:
            continue
        sentence = f"{one.failed} of {one.ended} messages over {one.name} could not be delivered"
        finding = figures.finding("messages-undelivered", one.name)
        found[one.name] = figures.observed(one.failed / one.ended, sentence, finding, _PAGES["channel"] + one.name)
    return found


async def _dead_letters(figures: Figures, rule: AlertRule) -> Observations:
    count, since = await figures.stores.rows.open_dead_letters(rule.window_ms / 1000)
    if not count:
        return {}
    sentence = f"{count} dead letters have not been replayed" if count > 1 else "1 dead letter has not been replayed"
    observed = figures.observed(float(count), sentence, figures.finding("dead-letters"), "/dashboard/dead-letters")
    return {"": observed if since is None else msgspec.structs.replace(observed, since=since)}


async def _oldest(figures: Figures, _rule: AlertRule) -> Observations:
    found: dict[str, Observation] = {}
    for policy in QUEUES:
        counts = await figures.stores.stats.snapshot(policy)
        if counts.waiting:
            seconds = counts.oldest_waiting_ms / 1000
            sentence = f"the oldest of {counts.waiting} jobs of {policy.name} has waited for {seconds:.0f} s"
            cause = next((one for one in figures.examined.findings if one.subject.id == policy.short), None)
            found[policy.short] = figures.observed(seconds, sentence, cause, f"/dashboard/queues/{policy.short}")
    return found


async def _workers(figures: Figures, _rule: AlertRule) -> Observations:
    found: dict[str, Observation] = {}
    for policy in QUEUES:
        if not (await read_load(figures.stores.redis, policy)).workers:
            finding = figures.finding("queue-without-worker", policy.short)
            sentence = f"no process works on {policy.name}" if finding is None else finding.message
            found[policy.short] = figures.observed(1.0, sentence, finding, f"/dashboard/queues/{policy.short}")
    return found


async def _channels(figures: Figures, _rule: AlertRule) -> Observations:
    figures.require("channels")
    codes = ("channel-paused", "channel-failing", "channel-unknown")
    return {
        one.subject.id: figures.observed(1.0, one.message, one, _PAGES["channel"] + one.subject.id)
        for one in figures.examined.findings
        if one.code in codes
    }


async def _refusals(figures: Figures, rule: AlertRule) -> Observations:
    statuses = (401, 403) if rule.metric == "auth-failures" else None
    count = await figures.stores.rows.count_refusals(rule.window_ms / 1000, statuses)
    what = "requests had a wrong signature or secret" if statuses else "requests were refused"
    finding = figures.finding("refusals-spike")
    return {"": figures.observed(float(count), f"{count} {what}", finding, "/dashboard/refusals")} if count else {}


async def _unqueued(figures: Figures, _rule: AlertRule) -> Observations:
    figures.require("accepted work")
    return {
        one.subject.id: figures.observed(
            float(one.evidence["count"]), one.message, one, f"/dashboard/queues/{one.subject.id}"
        )
        for one in figures.examined.findings
        if one.code.endswith("-on-no-queue")
    }


async def _redis_memory(figures: Figures, _rule: AlertRule) -> Observations:
    if figures.stores.redis.cluster:
        return {}
    info = await figures.stores.redis.command("INFO")
    limit, used = info.get("maxmemory", 0), info.get("used_memory", 0)
    if not limit:
        return {}
    sentence = f"Redis uses {100 * used / limit:.0f} % of its memory limit"
    return {"": figures.observed(used / limit, sentence, figures.finding("redis-memory"), "/dashboard/doctor")}


async def _postgres(figures: Figures, rule: AlertRule) -> Observations:
    server = await figures.stores.rows.server()
    if rule.metric == "postgres-connections":
        share = server.connections / max(server.max_connections, 1)
        sentence = f"{server.connections} of {server.max_connections} connections of Postgres are in use"
        finding = figures.finding("postgres-connections")
        return {"": figures.observed(share, sentence, finding, "/dashboard/doctor")}
    limit = figures.stores.settings.database_bytes
    if not limit:
        return {}
    share = server.database_bytes / limit
    sentence = f"the database fills {100 * share:.0f} % of its volume"
    return {"": figures.observed(share, sentence, figures.finding("postgres-disk"), "/dashboard/doctor")}


async def _findings(figures: Figures, rule: AlertRule) -> Observations:
    found = {
        one.subject.id: figures.observed(1.0, one.message, one, "/dashboard/doctor")
        for one in figures.examined.findings
        if one.code == rule.code
    }
    if not found or rule.code not in _UNKNOWN:
        for store in ("redis", "postgres"):
            figures.require(store)
    return found


_MEASURES: Final[Mapping[AlertMetric, Callable[[Figures, AlertRule], Awaitable[Observations]]]] = {
    "flow-failure-rate": _flow_rates,
    "flow-failures": _flow_rates,
    "dead-letters": _dead_letters,
    "oldest-waiting": _oldest,
    "no-worker": _workers,
    "channel-paused": _channels,
    "undelivered-share": _undelivered,
    "auth-failures": _refusals,
    "refusals": _refusals,
    "unqueued": _unqueued,
    "redis-memory": _redis_memory,
    "postgres-connections": _postgres,
    "postgres-disk": _postgres,
    "finding": _findings,
}
