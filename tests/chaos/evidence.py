"""What a run leaves behind: the record of the senders, the rows of Postgres, and what arrived outside."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

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

NOTIFICATIONS: Final = """
select id::text, execution_id::text, status, idempotency_key as key, payload->>'text' as text, created_at
from notifications where execution_id is not null"""


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


@dataclass(slots=True)
class Evidence:
    """Everything that a run has left behind. `events` has the status of each event by its id. `ended` are the processes
    that have ended by themselves, with their exit codes.
    `writes_without_claim`: see `tests.hostile.write_audit`."""

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


def accepted(evidence: Evidence) -> Iterable[Sent]:
    """The webhooks that were answered with 200."""
    return (one for one in evidence.sent if one.event_id is not None)


def by_event(evidence: Evidence) -> dict[str, list[Execution]]:
    """The executions of each event, by its id, without those that replay another one."""
    found: dict[str, list[Execution]] = defaultdict(list)
    for one in evidence.executions:
        if one.event_id is not None and one.replay_of is None:
            found[one.event_id].append(one)
    return found


def cancelled(evidence: Evidence) -> frozenset[str]:
    """The ids of the executions that an operator may have cancelled."""
    return frozenset(one.name for one in possible(evidence.actions, "cancel"))
