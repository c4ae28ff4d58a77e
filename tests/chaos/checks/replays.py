"""A replay makes one new execution, and nothing else does."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from tests.chaos.actions import confirmed, possible
from tests.chaos.evidence import FINAL, Evidence, Execution, of_events
from tests.chaos.flows import BROKEN

MILLISECOND: Final = timedelta(milliseconds=1)
"""The times of the API are exact to it."""


def a_replay_makes_one_execution(evidence: Evidence) -> Iterator[str]:
    """A confirmed replay of an execution has made the execution that the answer names, which ends. One whose answer was
    lost has made one or none: its calls have the same `requestId`. No other execution replays another one."""
    replays: dict[str, list[Execution]] = defaultdict(list)
    for one in evidence.executions:
        if one.replay_of is not None:
            replays[one.replay_of].append(one)
    at_most = Counter(one.name for one in possible(evidence.actions, "replay"))
    for original, made in replays.items():
        if len(made) > at_most[original]:
            yield f"execution {original} has {len(made)} replays, and operators asked for {at_most[original]}"
        for one in made:
            if one.status not in FINAL:
                yield f"execution {one.id}, which replays {original}, is {one.status}"
    for action, _ in confirmed(evidence.actions, "replay"):
        if action.answer["id"] not in {one.id for one in replays[action.name]}:
            yield f"the replay {action.answer['id']} of execution {action.name} was confirmed and is missing"


def a_replay_ends_as_it_should(evidence: Evidence) -> Iterator[str]:
    """The replay of a webhook's execution has the output of that webhook, from its own calls."""
    names = {one.event_id: one.name for one in evidence.sent}
    for execution in evidence.executions:
        if execution.replay_of is None or execution.event_id not in names or execution.status != "succeeded":
            continue
        if execution.flow_id == BROKEN or execution.output != names[execution.event_id]:
            yield f"execution {execution.id}, which replays {execution.replay_of}, ended with {execution.output!r}"


def the_original_of_a_replay_stays(evidence: Evidence) -> Iterator[str]:
    """It has the status, the end and the output that it had before."""
    executions = {one.id: one for one in evidence.executions}
    for action, _ in confirmed(evidence.actions, "replay"):
        found, seen = executions.get(action.name), action.seen
        if found is None:
            yield f"execution {action.name} was replayed and is missing"
            continue
        ended_at = datetime.fromisoformat(seen["endedAt"])
        if found.status != seen["status"] or found.ended_at is None or abs(found.ended_at - ended_at) > MILLISECOND:
            yield f"execution {found.id} was {seen['status']} at {ended_at} and is {found.status} at {found.ended_at}"


def the_replay_of_an_event_makes_one_execution(evidence: Evidence) -> Iterator[str]:
    """An event has one execution, and one for each replay. The event counts as many replays as operators made."""
    of_event = of_events(evidence)
    done = Counter(one.name for one, _ in confirmed(evidence.actions, "replay-event"))
    at_most = Counter[str]()
    for one in possible(evidence.actions, "replay-event"):
        at_most[one.name] += one.uncertain + (one.answered_at is not None)
    for event_id in done.keys() | evidence.runs.keys():
        runs = evidence.runs.get(event_id, 0)
        if len(of_event[event_id]) != 1 + runs:
            yield f"event {event_id} was replayed {runs} times and has {len(of_event[event_id])} executions"
        if runs > at_most[event_id]:
            yield f"event {event_id} counts {runs} replays, and operators made at most {at_most[event_id]}"
        if done[event_id] and not runs:
            yield f"the replay of event {event_id} was confirmed and not counted"
