"""Each accepted event has one execution, which ends as its flow defines."""

from collections.abc import Iterator
from typing import Final

from tests.chaos.checks.conversations import open_questions
from tests.chaos.evidence import FINAL, Evidence, accepted, by_event, cancelled
from tests.chaos.flows import BROKEN, ORDER, PARENT

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
