"""The messages of a contact are processed in order, and answers reach their questions."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.chaos.evidence import Evidence, Execution, accepted, by_event, cancelled
from tests.chaos.flows import NO_ANSWER, QUESTIONS, SURVEY, SURVEY_S
from tests.chaos.senders import Sent


def answers_reach_their_questions(evidence: Evidence) -> Iterator[str]:
    """A message of a contact answers the question that is open in its conversation. It asks a question of its own only
    if none is open: the first one, and those after a question that was cancelled, failed or not answered in time."""
    yield from _conversations(evidence).accounts


def no_question_ends_early(evidence: Evidence) -> Iterator[str]:
    """A question with a time limit is open for as long."""
    for one in evidence.executions:
        if one.flow_id != SURVEY or one.output != NO_ANSWER or one.started_at is None or one.ended_at is None:
            continue
        if one.ended_at - one.started_at < timedelta(seconds=SURVEY_S):
            yield f"the question of execution {one.id} ended after {one.ended_at - one.started_at}"


def open_questions(evidence: Evidence) -> frozenset[str]:
    """The executions whose question is open after the run, because the contact has sent nothing since."""
    return frozenset(_conversations(evidence).open)


def the_order_of_a_conversation_is_kept(evidence: Evidence) -> Iterator[str]:
    """The executions of a contact begin in the order in which its webhooks were accepted. One that is cancelled while
    it waits in the queue waits no longer for those before it."""
    of_event, without = by_event(evidence), cancelled(evidence)
    last: dict[str, tuple[datetime, Sent]] = {}
    for one in accepted(evidence):
        found = of_event[one.event_id or ""]
        began = found[0].started_at if len(found) == 1 and found[0].id not in without else None
        if began is None:
            continue
        before = last.get(one.contact)
        if before is not None and began < before[0]:
            yield f"{one.name} began at {began:%H:%M:%S.%f}, before {before[1].name} at {before[0]:%H:%M:%S.%f}"
        last[one.contact] = (began, one)


@dataclass(slots=True)
class _Conversations:
    """What was wrong in conversations, and the executions whose questions are open at their ends."""

    accounts: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)


def _conversations(evidence: Evidence) -> _Conversations:
    of_event, result = by_event(evidence), _Conversations()
    said: dict[str, list[Sent]] = defaultdict(list)
    for one in accepted(evidence):
        if one.flow in QUESTIONS:
            said[one.contact].append(one)
    for messages in said.values():
        question: Execution | None = None
        for message in messages:
            found = of_event[message.event_id or ""]
            if len(found) != 1:  # another check reports it
                break
            [execution] = found
            if execution.resumed_id is not None:
                result.accounts += _problems(message, execution, question)
                question = None
            elif question is not None and _is_open(question):
                if execution.status != "cancelled":  # its message was not processed
                    result.accounts.append(f"{message.name} did not answer the question of execution {question.id}")
                    break
            else:
                question = execution
        if question is not None:
            result.open.append(question.id)
    return result


def _problems(message: Sent, carrier: Execution, question: Execution | None) -> Iterator[str]:
    if question is None or carrier.resumed_id != question.id:
        asked = "none" if question is None else question.id
        yield f"{message.name} resumed execution {carrier.resumed_id}, and the open question is that of {asked}"
    elif question.status == "succeeded" and question.output != message.name:
        yield f"the question of execution {question.id} was answered with {question.output!r}, not with {message.name}"


def _is_open(question: Execution) -> bool:
    """Whether nothing but an answer can have ended the question."""
    return question.status not in ("failed", "cancelled") and question.output != NO_ANSWER
