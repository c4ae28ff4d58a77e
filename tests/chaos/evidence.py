"""What a run leaves behind: the record of the senders, the rows of Postgres, and what arrived outside."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.chaos.actions import Action, possible
from tests.chaos.observed import Observed
from tests.chaos.outside import Arrival
from tests.chaos.schedule import Fault
from tests.chaos.senders import Sent

FINAL: Final = frozenset({"succeeded", "failed", "cancelled", "timed-out"})
"""The statuses in which an execution has ended."""

EPOCH: Final = datetime.fromtimestamp(0, UTC)

EXECUTIONS: Final = """
select id::text, event_id::text, flow_id, version, status, error->>'kind' as error, output #>> '{}' as output,
    resumed_id::text, replay_of::text, queued_at, started_at, ended_at
from executions"""

TIMES: Final = "select id::text, received_at, processed_at from events"

NOTIFICATIONS: Final = """
select id::text, execution_id::text, status, idempotency_key as key, payload->>'text' as text, created_at
from notifications where execution_id is not null"""

STEPS: Final = """
select execution_id::text, string_agg(concat_ws(' ', seq, node_id, coalesce(handle, '-')), ',' order by seq) as path
from steps group by execution_id"""

RUNS: Final = "select id::text, run from events where run > 0"

VERSIONS: Final = """
select v.flow_id, v.version, v.definition::text, v.created_at, v.version = f.published_version as published
from flow_versions v join flows f on f.id = v.flow_id"""

AUDIT: Final = "select action, subject, outcome from audit_entries where who = $1"


@dataclass(frozen=True, slots=True)
class Execution:
    """A row of `executions`. `error` is the kind of its error. `resumed_id`: the execution that its message resumed.
    `replay_of`: the execution that it replays."""

    id: str
    event_id: str | None
    flow_id: str
    version: int
    status: str
    error: str | None
    output: str | None
    resumed_id: str | None
    replay_of: str | None
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Notification:
    """A row of `notifications`."""

    id: str
    execution_id: str | None
    status: str
    key: str
    text: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a flow. `definition` is JSON."""

    flow_id: str
    version: int
    definition: str
    created_at: datetime
    published: bool


@dataclass(slots=True)
class Evidence:
    """Everything that a run has left behind. `events` has the status of each event by its id. `ended` are the processes
    that have ended by themselves, with their exit codes.
    `writes_without_claim`: see `tests.hostile.write_audit`. `times`: when each event was received and processed."""

    faults: Sequence[Fault]
    sent: Sequence[Sent]
    events: dict[str, str]
    executions: Sequence[Execution]
    notifications: Sequence[Notification]
    messages: Sequence[Arrival]
    calls: Sequence[Arrival]
    unfinished_jobs: int = 0
    writes_without_claim: Sequence[str] = ()
    ended: dict[str, int] = field(default_factory=dict)
    began: datetime = EPOCH
    actions: Sequence[Action] = ()
    observed: Observed = field(default_factory=Observed)
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    audit: Sequence[tuple[str, str, str]] = ()
    runs: dict[str, int] = field(default_factory=dict)
    versions: Sequence[Version] = ()
    paths: dict[str, str] = field(default_factory=dict)
    times: dict[str, tuple[datetime, datetime | None]] = field(default_factory=dict)


def accepted(evidence: Evidence) -> Iterable[Sent]:
    """The webhooks that were answered with 200."""
    return (one for one in evidence.sent if one.event_id is not None)


def by_event(evidence: Evidence) -> dict[str, list[Execution]]:
    """The executions of each event, by its id, without those that replay another one, and without the newest ones of an
    event that was replayed: one for each replay."""
    found = of_events(evidence)
    for event_id, runs in evidence.runs.items():
        if event_id in found:
            found[event_id] = sorted(found[event_id], key=lambda one: one.queued_at)[: -runs or None]
    return found


def of_events(evidence: Evidence) -> dict[str, list[Execution]]:
    """The executions of each event, by its id, without those that replay another execution."""
    found: dict[str, list[Execution]] = defaultdict(list)
    for one in evidence.executions:
        if one.event_id is not None and one.replay_of is None:
            found[one.event_id].append(one)
    return found


def cancelled(evidence: Evidence) -> frozenset[str]:
    """The ids of the executions that an operator may have cancelled."""
    return frozenset(one.name for one in possible(evidence.actions, "cancel"))


def settled(evidence: Evidence, at: datetime, within_s: float) -> datetime:
    """`within_s` after `at`, or after the end of the faults between."""
    ends = [timedelta(seconds=one.ends_s) for one in evidence.faults if _overlaps(evidence, one, at, within_s)]
    return max([at, *(evidence.began + end for end in ends)]) + timedelta(seconds=within_s)


def _overlaps(evidence: Evidence, fault: Fault, at: datetime, within_s: float) -> bool:
    since = (at - evidence.began).total_seconds()
    return fault.at_s <= since + within_s and fault.ends_s + within_s >= since
