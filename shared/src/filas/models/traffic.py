"""The traffic of a flow over a period: how often its nodes and edges were passed, and where executions ended."""

from datetime import datetime

from filas.models.analytics import Period
from filas.models.record import Record


class NodeTraffic(Record, frozen=True, kw_only=True):
    """The figures of one node, of all versions that ran in the period.

    `visits` are its steps, `outcomes` their number by status, and `failures` those that failed. `p50_ms` and `p95_ms`
    are of the time of a step, with its waits; they differ from the exact ones by less than factor 2, and only the 100
    nodes with the most visits have them. `endings` are the executions that ended at the node, by their status.
    `waiting` executions wait there now, whatever the period.

    A node of a subflow has the name of the trace (`pay/check-card`), and is not `in_version`. What ends or waits there
    counts for the node `pay`.
    """

    node_id: str
    in_version: bool
    visits: int
    outcomes: dict[str, int]
    failures: int
    p50_ms: float | None
    p95_ms: float | None
    endings: dict[str, int]
    waiting: int


class EdgeTraffic(Record, frozen=True, kw_only=True):
    """How often a node left by the handle of one of its edges. The edges of one handle have the same count: they are
    followed one after another."""

    source: str
    source_handle: str
    target: str
    count: int


class FlowTraffic(Period, frozen=True, kw_only=True):
    """The traffic of a flow, on the nodes and edges of `version`, in the order of its definition; nodes that only other
    versions have follow.

    `executions` ended in the period, by status. `edges_since`: edges and endings are counted since then, which is later
    than the beginning of the period; None if they are complete. `waiting_complete` is false if more executions wait
    than were counted.
    """

    flow_id: str
    version: int
    executions: dict[str, int]
    edges_since: datetime | None
    waiting_complete: bool
    nodes: list[NodeTraffic]
    edges: list[EdgeTraffic]
