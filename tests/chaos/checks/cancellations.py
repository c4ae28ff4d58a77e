"""A cancellation stays in effect.

What is promised: the API has stored the cancellation when it answers. An execution that waits, or whose job waits, does
nothing more. One that runs ends before its next effect, as soon as its worker has seen the cancellation, which it looks
for at each renewal of its leases. It may reach its end before that.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from tests.chaos.actions import confirmed
from tests.chaos.checks.effects import json_object
from tests.chaos.evidence import FINAL, Evidence, settled

SEEN_S: Final = 6.0
"""How long it takes at most until the worker of a running execution has seen its cancellation, and its effect has
ended. Leases are renewed every 3.3 s."""


def a_cancellation_stays_in_effect(evidence: Evidence) -> Iterator[str]:
    """After it was confirmed, the execution is cancelled; one that ran may have ended by itself soon after."""
    executions = {one.id: one for one in evidence.executions}
    for action, at in confirmed(evidence.actions, "cancel"):
        execution = executions.get(action.name)
        if execution is None:
            yield f"execution {action.name} was cancelled and is missing"
        elif execution.status not in FINAL:
            yield f"execution {action.name} was cancelled at {at:%H:%M:%S.%f} and is {execution.status}"
        elif execution.status != "cancelled":
            limit = settled(evidence, at, SEEN_S)
            if execution.ended_at is None or execution.ended_at > limit:
                yield (
                    f"execution {action.name} was cancelled at {at:%H:%M:%S.%f} and {execution.status} at"
                    f" {execution.ended_at:%H:%M:%S.%f}"
                )


def a_cancelled_execution_does_nothing(evidence: Evidence) -> Iterator[str]:
    """After its cancellation was confirmed and seen, it writes no message and calls nothing."""
    written: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for one in evidence.notifications:
        written[one.execution_id or ""].append((one.created_at, f"wrote message {one.id}"))
    for call in evidence.calls:
        at = evidence.began + timedelta(seconds=call.at_s)
        written[str(json_object(call.body).get("execution"))].append((at, f"called {call.path}"))
    for action, at in confirmed(evidence.actions, "cancel"):
        limit = settled(evidence, at, SEEN_S)
        for done_at, what in written[action.name]:
            if done_at > limit:
                yield f"execution {action.name}, cancelled at {at:%H:%M:%S.%f}, {what} at {done_at:%H:%M:%S.%f}"
