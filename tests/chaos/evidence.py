"""What a run leaves behind: the record of the senders, the rows of Postgres, and what arrived outside."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from tests.chaos.outside import Arrival
from tests.chaos.schedule import Fault
from tests.chaos.senders import Sent

FINAL: Final = frozenset({"succeeded", "failed", "cancelled", "timed-out"})
"""The statuses in which an execution has ended."""

EXECUTIONS: Final = """
select id::text, event_id::text, flow_id, status, error->>'kind' as error, output #>> '{}' as output,
    resumed_id::text, started_at
from executions"""

NOTIFICATIONS: Final = """
select id::text, execution_id::text, status, idempotency_key as key from notifications
where execution_id is not null"""


@dataclass(frozen=True, slots=True)
class Execution:
    """A row of `executions`. `error` is the kind of its error. `resumed_id`: the execution that its message resumed."""

    id: str
    event_id: str | None
    flow_id: str
    status: str
    error: str | None
    output: str | None
    resumed_id: str | None
    started_at: datetime | None


@dataclass(frozen=True, slots=True)
class Notification:
    """A row of `notifications`."""

    id: str
    execution_id: str | None
    status: str
    key: str


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


def accepted(evidence: Evidence) -> Iterable[Sent]:
    """The webhooks that were answered with 200."""
    return (one for one in evidence.sent if one.event_id is not None)


def by_event(evidence: Evidence) -> dict[str, list[Execution]]:
    """The executions of each event, by its id."""
    found: dict[str, list[Execution]] = defaultdict(list)
    for one in evidence.executions:
        if one.event_id is not None:
            found[one.event_id].append(one)
    return found
