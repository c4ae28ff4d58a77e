"""Each accepted event has one execution, which ends as its flow defines."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from tests.chaos.checks.conversations import open_questions
from tests.chaos.evidence import FINAL, Evidence, accepted, by_event, cancelled
from tests.chaos.flows import BROKEN, ORDER, PARENT

ENTRY: Final = "entry"

OUTSIDE: Final = frozenset({"communication", "timeout", "http-status", "undelivered", "malformed-answer", "busy"})
"""Why an execution may fail while a receiver does not work."""


def every_event_runs_once(evidence: Evidence) -> Iterator[str]:
    """An accepted event has one execution, which has ended, unless its question is the last one of the conversation."""
    of_event, may_wait = by_event(evidence), open_questions(evidence)
    for one in accepted(evidence):
        found = of_event[one.event_id or ""]
        if len(found) != 1:
            yield f"event {one.event_id} of {one.name} has {len(found)} executions"
        elif found[0].status not in FINAL and (found[0].status != "waiting-input" or found[0].id not in may_wait):
            yield f"execution {found[0].id} of {one.name} is {found[0].status}"


def flows_end_as_they_should(evidence: Evidence) -> Iterator[str]:
    """`broken` fails, every other flow succeeds with its output, unless a receiver did not work or an operator has
    cancelled the execution."""
    of_event, may_be_cancelled = by_event(evidence), cancelled(evidence)
    receivers_failed = any(one.kind.startswith(("receiver", "link")) for one in evidence.faults)
    for one in accepted(evidence):
        for execution in of_event[one.event_id or ""]:
            if execution.status == "cancelled" and execution.id in may_be_cancelled:
                continue
            if execution.status in ("cancelled", "timed-out"):
                yield f"execution {execution.id} of {one.name} ({one.flow}) is {execution.status}"
            elif execution.status == "failed" and one.flow != BROKEN:
                if not receivers_failed or execution.error not in OUTSIDE:
                    yield f"execution {execution.id} of {one.name} ({one.flow}) failed: {execution.error}"
            elif one.flow == BROKEN and execution.status in FINAL - {"failed"}:
                yield f"execution {execution.id} of {one.name} ({one.flow}) {execution.status}"
            elif one.flow in (ORDER, PARENT) and execution.status == "succeeded" and execution.output != one.name:
                yield f"execution {execution.id} of {one.name} ended with {execution.output!r}"


def no_step_runs_twice(evidence: Evidence) -> Iterator[str]:
    """The steps of an execution are numbered without gap or repetition. Each node has one, and each is reached by an
    edge from the one before. The last step of an execution that has succeeded has no edge to a further one."""
    edges = {(one.flow_id, one.version): _edges(evidence, json.loads(one.definition)) for one in evidence.versions}
    known: dict[tuple[str, int, bool, bool, str], str | None] = {}
    for one in evidence.executions:
        if one.started_at is None or one.resumed_id is not None:
            continue
        path = evidence.paths.get(one.id, "")
        succeeded, from_start = one.status == "succeeded", one.replay_of is None
        what = (one.flow_id, one.version, succeeded, from_start, path)
        if what not in known:
            graph = edges.get((one.flow_id, one.version), {})
            known[what] = _problem(path, graph, succeeded=succeeded, from_start=from_start)
        if known[what]:
            yield f"execution {one.id} of {one.flow_id} ({one.status}): {known[what]} in {path!r}"


Edges = Mapping[tuple[str, str], frozenset[str]]
"""The nodes that follow a node by a handle. A node of a subflow is written after its caller: `part/keep`."""


def _edges(evidence: Evidence, definition: Mapping[str, Any]) -> Edges:
    """The edges of a flow and of its subflows. A subflow is entered by the handle ENTRY of the node that starts it."""
    edges: dict[tuple[str, str], frozenset[str]] = {}
    for edge in definition["edges"]:
        left_by = (edge["source"], edge.get("sourceHandle", "out"))
        edges[left_by] = edges.get(left_by, frozenset()) | {edge["target"]}
    for node in definition["nodes"]:
        if node["type"] == "subflow":
            [child] = [one for one in evidence.versions if one.flow_id == node["data"]["flowId"]]
            inner = _edges(evidence, json.loads(child.definition))
            edges[node["id"], ENTRY] = frozenset({f"{node['id']}/start"})
            edges |= {
                (f"{node['id']}/{source}", handle): frozenset(f"{node['id']}/{target}" for target in targets)
                for (source, handle), targets in inner.items()
            }
    return edges


def _problem(path: str, edges: Edges, *, succeeded: bool, from_start: bool) -> str | None:
    """What is wrong with the steps of an execution, or None."""
    steps = [step.split(" ") for step in path.split(",") if step]
    if [number for number, _, _ in steps] != [str(number) for number in range(1, len(steps) + 1)]:
        return "a step is missing or repeated"
    nodes = [node for _, node, _ in steps]
    if repeated := [node for node, count in Counter(nodes).items() if count > 1]:
        return f"node {repeated[0]} has several steps"
    if from_start and nodes and nodes[0] != "start":
        return "the first step is not that of the trigger"
    handles = {node: handle for _, node, handle in steps}
    # A replay that continues within a subflow has the step of its caller first, and then that of the node that failed.
    inside = 0
    while not from_start and nodes[inside + 1 : inside + 2] and nodes[inside + 1].rpartition("/")[0] == nodes[inside]:
        inside += 1
    for before, after in pairwise(nodes[inside:]):
        if after not in _following(before, handles, edges):
            return f"no edge leads from {before} to {after}"
    if succeeded and (not nodes or _following(nodes[-1], handles, edges)):
        return "the last step is missing"
    return None


def _following(node: str, handles: Mapping[str, str], edges: Edges) -> frozenset[str]:
    """The nodes that may follow the step of a node. After the end of a subflow, that is what follows its call."""
    entered = edges.get((node, ENTRY), frozenset())
    if entered and not entered.isdisjoint(handles):
        return entered
    targets = edges.get((node, handles[node]), frozenset())
    caller = node.rpartition("/")[0]
    if targets or caller not in handles:
        return targets
    return edges.get((caller, handles[caller]), frozenset())
