"""Each accepted event has one execution, in the order of its conversation, which ends as its flow says."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from tests.chaos.evidence import FINAL, Evidence, accepted, by_event
from tests.chaos.flows import ASK, BROKEN, ORDER, PARENT
from tests.chaos.senders import Sent

OUTSIDE: Final = frozenset({"communication", "timeout", "http-status", "undelivered", "malformed-answer", "busy"})
"""Why an execution may fail while a receiver does not work."""


def every_event_runs_once(evidence: Evidence) -> Iterator[str]:
    """An accepted event has one execution, which has ended."""
    of_event = by_event(evidence)
    for one in accepted(evidence):
        found = of_event[one.event_id or ""]
        if len(found) != 1:
            yield f"event {one.event_id} of {one.name} has {len(found)} executions"
        elif found[0].status not in FINAL:
            yield f"execution {found[0].id} of {one.name} is {found[0].status}"


def flows_end_as_they_should(evidence: Evidence) -> Iterator[str]:
    """`broken` fails, every other flow succeeds with its output, unless a receiver did not work."""
    of_event = by_event(evidence)
    receivers_failed = any(one.kind.startswith(("receiver", "link")) for one in evidence.faults)
    for one in accepted(evidence):
        for execution in of_event[one.event_id or ""]:
            if execution.status == "failed" and one.flow != BROKEN:
                if not receivers_failed or execution.error not in OUTSIDE:
                    yield f"execution {execution.id} of {one.name} ({one.flow}) failed: {execution.error}"
            elif one.flow == BROKEN and execution.status in FINAL - {"failed"}:
                yield f"execution {execution.id} of {one.name} ({one.flow}) {execution.status}"
            elif one.flow in (ORDER, PARENT) and execution.status == "succeeded" and execution.output != one.name:
                yield f"execution {execution.id} of {one.name} ended with {execution.output!r}"


def answers_reach_their_questions(evidence: Evidence) -> Iterator[str]:
    """Of the messages that a contact sends to `ask`, each second one answers the question of the one before."""
    of_event = by_event(evidence)
    pairs: dict[str, list[Sent]] = defaultdict(list)
    for one in evidence.sent:
        if one.flow == ASK:
            pairs[one.contact].append(one)
    for sent in pairs.values():
        for question, answer in zip(sent[::2], sent[1::2], strict=False):
            asked, carried = of_event[question.event_id or ""], of_event[answer.event_id or ""]
            if len(asked) != 1 or len(carried) != 1 or asked[0].status == "failed":
                break  # what follows is shifted; another check reports it
            if carried[0].resumed_id != asked[0].id:
                yield f"{answer.name} did not answer the question of {question.name}"
                break
            if asked[0].status == "succeeded" and asked[0].output != answer.name:
                yield f"the question of {question.name} was answered with {asked[0].output!r}, not with {answer.name}"


def the_order_of_a_conversation_is_kept(evidence: Evidence) -> Iterator[str]:
    """The executions of a contact begin in the order in which its webhooks were accepted."""
    of_event = by_event(evidence)
    last: dict[str, tuple[datetime, Sent]] = {}
    for one in accepted(evidence):
        found = of_event[one.event_id or ""]
        began = found[0].started_at if len(found) == 1 else None
        if began is None:
            continue
        before = last.get(one.contact)
        if before is not None and began < before[0]:
            yield f"{one.name} began at {began:%H:%M:%S.%f}, before {before[1].name} at {before[0]:%H:%M:%S.%f}"
        last[one.contact] = (began, one)
