"""Checks the promises after a run: what the senders recorded, what the stores hold and what the outside world received
must agree."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tests.chaos.flows import ASK, BROKEN, ORDER, PARENT
from tests.chaos.outside import Arrival
from tests.chaos.schedule import Fault
from tests.chaos.senders import Sent

FINAL: Final = frozenset({"succeeded", "failed", "cancelled", "timed-out"})
AFTER_S: Final = 12.0
"""How long after a fault of `ingest` itself its senders may still be refused: it starts and connects again."""

MESSAGES_OF: Final = {ORDER: 1, PARENT: 1, ASK: 2, BROKEN: 0}
"""How many messages a successful execution sends."""

OUTSIDE: Final = frozenset({"communication", "timeout", "http-status", "undelivered", "malformed-answer", "busy"})
"""Why an execution may fail while a receiver does not work."""


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
    that have ended by themselves, with their exit codes."""

    faults: Sequence[Fault]
    sent: Sequence[Sent]
    events: dict[str, str]
    executions: Sequence[Execution]
    notifications: Sequence[Notification]
    messages: Sequence[Arrival]
    calls: Sequence[Arrival]
    unfinished_jobs: int = 0
    ended: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Breach:
    """A promise that was not kept, with the shortest account of it."""

    promise: str
    account: str


def breaches(evidence: Evidence) -> list[Breach]:
    """Every promise that the run broke, in the order of the checks."""
    return [Breach(check.__name__, account) for check in CHECKS for account in check(evidence)]


def every_webhook_is_accepted(evidence: Evidence) -> Iterator[str]:
    """A sender that repeats its webhook is answered with 200 at the latest when the faults are over."""
    for one in evidence.sent:
        if one.event_id is None:
            last = one.tries[-1][1] if one.tries else "nothing"
            yield f"{one.name} was refused {len(one.tries)} times, last with {last}"


def answers_are_no_worse_than_promised(evidence: Evidence) -> Iterator[str]:
    """A webhook is refused only while `ingest` itself or its ways to both stores do not work."""
    for one in evidence.sent:
        for at_s, answer in one.tries:
            if not _may_be_refused(evidence.faults, at_s):
                yield f"{one.name} was answered with {answer} at {at_s:.1f} s"


def no_accepted_event_is_missing(evidence: Evidence) -> Iterator[str]:
    """An accepted event is in Postgres and processed."""
    for one in _accepted(evidence):
        status = evidence.events.get(one.event_id or "", "missing")
        if status != "processed":
            yield f"event {one.event_id} of {one.name} is {status}"


def every_event_runs_once(evidence: Evidence) -> Iterator[str]:
    """An accepted event has one execution, which has ended."""
    of_event = _by_event(evidence)
    for one in _accepted(evidence):
        found = of_event[one.event_id or ""]
        if len(found) != 1:
            yield f"event {one.event_id} of {one.name} has {len(found)} executions"
        elif found[0].status not in FINAL:
            yield f"execution {found[0].id} of {one.name} is {found[0].status}"


def flows_end_as_they_should(evidence: Evidence) -> Iterator[str]:
    """`broken` fails, every other flow succeeds with its output, unless a receiver did not work."""
    of_event = _by_event(evidence)
    receivers_failed = any(one.kind.startswith(("receiver", "link")) for one in evidence.faults)
    for one in _accepted(evidence):
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
    of_event = _by_event(evidence)
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
    of_event = _by_event(evidence)
    last: dict[str, tuple[datetime, Sent]] = {}
    for one in _accepted(evidence):
        found = of_event[one.event_id or ""]
        began = found[0].started_at if len(found) == 1 else None
        if began is None:
            continue
        before = last.get(one.contact)
        if before is not None and began < before[0]:
            yield f"{one.name} began at {began:%H:%M:%S.%f}, before {before[1].name} at {before[0]:%H:%M:%S.%f}"
        last[one.contact] = (began, one)


def no_message_is_missing(evidence: Evidence) -> Iterator[str]:
    """A successful execution has all of its messages. A message that counts as delivered has arrived."""
    written = Counter(one.execution_id for one in evidence.notifications)
    arrived = {one.key for one in evidence.messages if one.answered_well}
    by_event = {one.event_id: one for one in evidence.sent}
    for execution in evidence.executions:
        sent = by_event.get(execution.event_id or "")
        if sent is None or execution.status != "succeeded" or execution.resumed_id is not None:
            continue
        if written[execution.id] != MESSAGES_OF[sent.flow]:
            yield f"execution {execution.id} of {sent.name} ({sent.flow}) has {written[execution.id]} messages"
    for one in evidence.notifications:
        if one.status in ("delivered", "sent") and one.key not in arrived:
            yield f"message {one.id} counts as {one.status} and did not arrive"
        if one.status not in ("delivered", "sent", "failed", "cancelled"):
            yield f"message {one.id} is {one.status}"


def each_effect_has_one_key(evidence: Evidence) -> Iterator[str]:
    """A message or call that is repeated has the same key and content; no two steps share one."""
    known = {one.key for one in evidence.notifications}
    contents: dict[str, bytes] = {}
    for one in evidence.messages:
        if one.key not in known:
            yield f"a message arrived under the unknown key {one.key!r}"
        if contents.setdefault(one.key, one.body) != one.body:
            yield f"two messages arrived under the key {one.key!r}"
    keys: dict[tuple[str, str], str] = {}
    for one in evidence.calls:
        execution = str(_json(one.body).get("execution"))
        if keys.setdefault((execution, one.path), one.key) != one.key:
            yield f"execution {execution} called {one.path} under two keys"


def nothing_is_left_in_the_queues(evidence: Evidence) -> Iterator[str]:
    """After the run, no job waits or is active."""
    if evidence.unfinished_jobs:
        yield f"{evidence.unfinished_jobs} jobs are unfinished"


def no_process_ends_by_itself(evidence: Evidence) -> Iterator[str]:
    """Every process survives what happens to the others."""
    for name, code in evidence.ended.items():
        yield f"{name} ended with {code}"


CHECKS: Final[Sequence[Callable[[Evidence], Iterator[str]]]] = (
    no_process_ends_by_itself,
    every_webhook_is_accepted,
    answers_are_no_worse_than_promised,
    no_accepted_event_is_missing,
    every_event_runs_once,
    flows_end_as_they_should,
    answers_reach_their_questions,
    the_order_of_a_conversation_is_kept,
    no_message_is_missing,
    each_effect_has_one_key,
    nothing_is_left_in_the_queues,
)


def _accepted(evidence: Evidence) -> Iterable[Sent]:
    return (one for one in evidence.sent if one.event_id is not None)


def _by_event(evidence: Evidence) -> dict[str, list[Execution]]:
    found: dict[str, list[Execution]] = defaultdict(list)
    for one in evidence.executions:
        if one.event_id is not None:
            found[one.event_id].append(one)
    return found


def _may_be_refused(faults: Sequence[Fault], at_s: float) -> bool:
    """Whether `ingest` or both of its stores are hit at `at_s`. A sender's try may have begun long before its end."""
    near = [one for one in faults if one.at_s - AFTER_S <= at_s <= one.ends_s + AFTER_S]
    if any(one.target == "ingest" for one in near):
        return True
    stores = {
        one.store or one.target.partition("/")[2] for one in near if one.store or one.target.startswith("ingest/")
    }
    return len(stores) > 1


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
