"""What the picture of the pipeline shows, from a snapshot: senders, ingest, queues with workers, channels, stores."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from filas.contract.channel_circuits import CircuitStatus
from filas.contract.policies import QUEUES
from filas.models.findings import Finding
from filas.queue.operations.queue_stats import QueueCounts
from filas.queue.worker_presence import QueueLoad
from ingest.dashboard.live.snapshot import PARTS, Snapshot
from ingest.dashboard.pipeline.finding_places import Mark, marks

MAX_SENDERS: Final = 6
MAX_CHANNELS: Final = 6

StationState = Literal["unknown", "paused", "no-worker", "waiting", "working", "idle"]
"""`waiting`: jobs are due, and every slot is busy or no job was claimed. `working`: jobs run."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A webhook with the events of the last hour. An empty id: a request to a path that no webhook has."""

    id: str
    events: int
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class Station:
    """A queue and its workers. `queue` is its short name, `name` its full name; None: the figures were never read."""

    queue: str
    name: str
    worker: str
    counts: QueueCounts | None
    load: QueueLoad | None
    is_paused: bool
    mark: Mark | None

    @property
    def state(self) -> StationState:
        """The state of the station in one word."""
        if self.counts is None or self.load is None:
            return "unknown"
        if self.is_paused:
            return "paused"
        if not self.load.workers:
            return "no-worker"
        if self.counts.waiting:
            return "waiting"
        return "working" if self.counts.active else "idle"

    @property
    def busy_share(self) -> float:
        """The share of the slots that run a job, from 0 to 1."""
        return min(self.load.running / self.load.slots, 1.0) if self.load and self.load.slots else 0.0


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A channel with its circuit."""

    id: str
    type: str
    circuit: CircuitStatus
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class StalePart:
    """Figures that are out of date: `store` does not answer; they were read at `since`, None if never."""

    part: str
    store: str
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The whole picture. `more_senders` and `more_channels` have no rows. `marks` are those of all parts."""

    at: int
    senders: Sequence[Sender]
    more_senders: int
    received: int | None
    refused: int | None
    stations: Sequence[Station]
    channels: Sequence[ChannelRow]
    more_channels: int
    marks: dict[str, Mark]
    stale: Sequence[StalePart]
    findings: Sequence[Finding] = field(default_factory=list)

    def is_stale(self, part: str) -> bool:
        """Whether the figures of a part of the snapshot are out of date."""
        return any(one.part == part for one in self.stale)


WORKERS: Final = {"webhook": "ingest-worker", "flow": "flow-runner", "notification": "notifier"}
_CLOSED: Final = CircuitStatus(state="closed")


def pipeline_of(snapshot: Snapshot) -> Pipeline:
    """Returns what the picture shows. Parts that were never read are None or empty."""
    hour, channels = snapshot.hour.value, snapshot.channels.value or []
    circuits = snapshot.circuits.value or {}
    # Channels with a problem come first, so that none of them is without a row.
    channels = sorted(channels, key=lambda one: (circuits.get(one.id, _CLOSED).state == "closed", one.id))
    shown_channels = channels[:MAX_CHANNELS]
    groups = [] if hour is None else [one for one in hour.senders.groups if one.subject]
    shown_senders = groups[:MAX_SENDERS]
    findings = [] if snapshot.findings.value is None else snapshot.findings.value.findings
    rows = frozenset(
        [f"channel:{one.id}" for one in shown_channels] + [f"webhook:{one.subject}" for one in shown_senders]
    )
    marked = marks(findings, rows)
    figures = {one.queue: one for one in snapshot.queues.value or []}
    paused = set(snapshot.pauses.value or [])
    return Pipeline(
        at=snapshot.at,
        senders=[Sender(one.subject, one.count, marked.get(f"webhook:{one.subject}")) for one in shown_senders],
        more_senders=len(groups) - len(shown_senders),
        received=None if hour is None else hour.received.total.count,
        refused=None if hour is None else hour.refused.total.count,
        stations=[
            Station(
                queue=policy.short,
                name=policy.name,
                worker=WORKERS[policy.short],
                counts=figures[policy.short].counts if policy.short in figures else None,
                load=figures[policy.short].load if policy.short in figures else None,
                is_paused=policy.name in paused,
                mark=marked.get(policy.short),
            )
            for policy in QUEUES
        ],
        channels=[
            ChannelRow(one.id, one.type, circuits.get(one.id, _CLOSED), marked.get(f"channel:{one.id}"))
            for one in shown_channels
        ],
        more_channels=len(channels) - len(shown_channels),
        marks=marked,
        stale=[
            StalePart(name, reading.missing, reading.read_at)
            for name in PARTS
            if (reading := getattr(snapshot, name)).missing is not None
        ],
        findings=findings,
    )
