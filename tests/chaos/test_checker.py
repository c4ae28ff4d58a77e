"""The checker reports each broken promise, and nothing about a run that went well."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.chaos import alert_cases, observed_cases, operator_cases, why_cases
from tests.chaos.actions import Action
from tests.chaos.checker import CHECKS, breaches
from tests.chaos.checks import executions
from tests.chaos.dashboards import Frame
from tests.chaos.evidence import Evidence, Execution, Notification
from tests.chaos.flows import NO_ANSWER, PARENT
from tests.chaos.outside import Arrival
from tests.chaos.schedule import Fault
from tests.chaos.senders import Sent

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def sent(number: int, flow: str, contact: str = "c") -> Sent:
    return Sent(contact, number, flow, "messages-a", event_id=f"event-{number}", accepted_s=float(number))


def execution(number: int, flow: str, output: str | None = None, **changes: object) -> Execution:
    values: dict[str, object] = {
        "id": f"execution-{number}",
        "event_id": f"event-{number}",
        "flow_id": flow,
        "version": 1,
        "status": "succeeded",
        "error": None,
        "output": output,
        "resumed_id": None,
        "replay_of": None,
        "queued_at": BEGAN + timedelta(seconds=number),
        "started_at": BEGAN + timedelta(seconds=number),
        "ended_at": BEGAN + timedelta(seconds=number + 10),
    }
    return Execution(**(values | changes))  # type: ignore[arg-type] # values of several types


def message(number: int, text: str, part: int = 1) -> tuple[Notification, Arrival]:
    key = f"key-{number}-{part}"
    body = msgspec.json.encode({"id": key})
    return (
        Notification(f"message-{number}-{part}", f"execution-{number}", "delivered", key, text, BEGAN),
        Arrival(1.0, "/messages-a", key, body, answered_well=True),
    )


def good() -> Evidence:
    """A contact's order, question with its answer, broken call, and survey without an answer."""
    messages = [
        message(1, "order c:1"),
        message(2, "question c:2"),
        message(2, "answer c:3", 2),
        message(5, "survey d:5"),
    ]
    call = msgspec.json.encode({"n": "c:1", "execution": "execution-1"})
    evidence = Evidence(
        faults=[],
        began=BEGAN,
        sent=[sent(1, "order"), sent(2, "ask"), sent(3, "ask"), sent(4, "broken"), sent(5, "survey", "d")],
        events={f"event-{number}": "processed" for number in range(1, 6)},
        executions=[
            execution(1, "order", "c:1"),
            execution(2, "ask", "c:3"),
            execution(3, "ask", resumed_id="execution-2"),
            execution(4, "broken", status="failed", error="http-status"),
            execution(5, "survey", NO_ANSWER),
        ],
        notifications=[one for one, _ in messages],
        messages=[one for _, one in messages],
        calls=[Arrival(0.5, "/orders", "call-1", call, answered_well=True)],
        observed=observed_cases.observed(),
    )
    operator_cases.add(evidence)
    alert_cases.add_alerts(evidence)
    evidence.observed.questions = why_cases.RIGHT
    return evidence


def change(evidence: Evidence, number: int, **changes: object) -> None:
    evidence.executions = [
        dataclasses.replace(one, **changes)  # type: ignore[arg-type] # values of several types
        if one.id == f"execution-{number}"
        else one
        for one in evidence.executions
    ]


def refuse(evidence: Evidence) -> None:
    evidence.sent[0].event_id, evidence.sent[0].tries = None, [(3.0, "503")]
    evidence.faults = [Fault(1, "kill", "ingest", 2.0, 3.0)]


def refuse_without_reason(evidence: Evidence) -> None:
    evidence.sent[0].tries = [(3.0, "503")]
    evidence.faults = [Fault(1, "store-kill", "redis", 2.0, 3.0), Fault(2, "kill", "notifier", 2.0, 3.0)]


def refuse_beside_hostile_senders(evidence: Evidence) -> None:
    evidence.sent[0].tries = [(3.0, "503")]
    evidence.faults = [Fault(1, "hostile-bodies", "ingest", 2.0, 3.0)]


def repeat_an_arrival(evidence: Evidence) -> None:
    evidence.messages = [*evidence.messages, Arrival(2.0, "/messages-a", "key-1-1", b"{}", answered_well=True)]


def call_under_two_keys(evidence: Evidence) -> None:
    first = evidence.calls[0]
    evidence.calls = [first, Arrival(2.0, first.path, "call-2", first.body, answered_well=True)]


BROKEN: dict[str, list[Callable[[Evidence], None]]] = {
    "no_process_ends_by_itself": [lambda found: found.ended.update({"notifier": 1})],
    "every_webhook_is_accepted": [refuse],
    "answers_are_no_worse_than_promised": [refuse_without_reason, refuse_beside_hostile_senders],
    "no_accepted_event_is_missing": [
        lambda found: found.events.update({"event-1": "received"}),
        lambda found: found.events.update({"event-1": "ignored"}),
    ],
    "every_event_runs_once": [
        lambda found: change(found, 4, event_id=None),
        lambda found: setattr(found, "executions", [*found.executions, execution(4, "broken", id="twice")]),
        lambda found: change(found, 4, status="running"),
        lambda found: change(found, 2, status="waiting-input"),
    ],
    "flows_end_as_they_should": [
        lambda found: change(found, 4, status="succeeded"),
        lambda found: change(found, 1, status="failed", error="template"),
        lambda found: change(found, 1, output="c:2"),
        lambda found: change(found, 1, status="cancelled"),
    ],
    "answers_reach_their_questions": [
        lambda found: change(found, 3, resumed_id=None),
        lambda found: change(found, 2, output="c:1"),
        lambda found: change(found, 3, resumed_id="execution-1"),
        lambda found: change(found, 3, resumed_id=None, status="waiting-input"),
    ],
    "no_question_ends_early": [lambda found: change(found, 5, ended_at=BEGAN + timedelta(seconds=6))],
    "the_order_of_a_conversation_is_kept": [lambda found: change(found, 1, started_at=BEGAN + timedelta(minutes=1))],
    "no_message_is_missing": [
        lambda found: setattr(found, "messages", found.messages[1:]),
        lambda found: setattr(found, "notifications", found.notifications[1:]),
    ],
    "each_effect_has_one_key": [repeat_an_arrival, call_under_two_keys],
    "nothing_is_written_after_a_lost_fence": [
        lambda found: setattr(found, "writes_without_claim", ["steps 1 fence 2: written by a, claimed by b"])
    ],
    "nothing_is_left_in_the_queues": [lambda found: setattr(found, "unfinished_jobs", 2)],
    **observed_cases.BROKEN,
    **alert_cases.BROKEN,
    **operator_cases.BROKEN,
    **why_cases.BROKEN,
}


def test_a_run_that_went_well_has_no_breach() -> None:
    assert breaches(good()) == []


def test_every_check_is_broken_once() -> None:
    assert set(BROKEN) == {check.__name__ for check in CHECKS}


@pytest.mark.parametrize(
    ("promise", "number"), [(promise, number) for promise, ways in BROKEN.items() for number in range(len(ways))]
)
def test_a_broken_promise_is_reported(promise: str, number: int) -> None:
    evidence = good()
    BROKEN[promise][number](evidence)
    assert promise in {one.promise for one in breaches(evidence)}


def test_a_dashboard_may_be_silent_while_its_process_restarts() -> None:
    """Its pages are not answered either, and figures of a lost store are out of date for a while."""
    evidence = good()
    evidence.faults = [
        Fault(1, "kill", "ingest-admin", 2.0, 3.0),
        Fault(2, "redis-flush", "redis", 20.0, 5.0),
    ]
    evidence.observed.frames = [
        Frame(1, 1.0, "regions"),
        Frame(1, 29.0, "opened"),
        Frame(1, 29.5, "regions", "redis"),
    ]
    evidence.observed.readings = [
        observed_cases.reading(6.0),
        observed_cases.reading(7.0, answer="ServerDisconnectedError", figures={}),
        observed_cases.reading(36.0, answer="503", figures={}),
        observed_cases.reading(38.0, figures=observed_cases.STATS | {"webhook completed": 1}),
    ]
    assert breaches(evidence) == []


def test_a_message_may_wait_for_its_channel() -> None:
    """Its receiver did not work, so its circuit is open until a time that the row does not have."""
    evidence = good()
    evidence.faults = [Fault(1, "receiver-down", "messages", 5.0, 2.0)]
    evidence.observed.questions = [
        dataclasses.replace(why_cases.RIGHT[4], before=why_cases.DUE, after=why_cases.DUE, **changes)
        for changes in ({"cause": "channel-failing", "until": why_cases.LATER}, {"cause": "waiting", "stuck": False})
    ]
    assert breaches(evidence) == []


def test_a_sender_may_be_refused_while_both_stores_cannot_be_reached() -> None:
    """One of them failed, and the link of `ingest` to the other one is cut."""
    evidence = good()
    evidence.sent[0].tries = [(3.0, "503")]
    evidence.faults = [
        Fault(1, "store-kill", "redis", 2.0, 3.0),
        Fault(2, "link-cut", "ingest/postgres", 2.0, 3.0),
    ]
    assert breaches(evidence) == []


def cancel(number: int) -> Action:
    return Action("cancel", "cancelExecution", f"executions/execution-{number}", BEGAN, answered_at=BEGAN, answer={})


def test_a_message_after_a_cancelled_question_may_ask_its_own() -> None:
    evidence = good()
    evidence.actions = [*evidence.actions, cancel(2)]
    change(evidence, 2, status="cancelled", output=None)
    change(evidence, 3, resumed_id=None, status="waiting-input")
    assert "answers_reach_their_questions" not in {one.promise for one in breaches(evidence)}
    assert "every_event_runs_once" not in {one.promise for one in breaches(evidence)}


def test_a_question_stays_open_if_the_message_that_could_answer_it_is_cancelled() -> None:
    evidence = good()
    evidence.actions = [*evidence.actions, cancel(3)]
    evidence.audit = [*evidence.audit, ("cancelExecution", "executions/execution-3", "done")]
    change(evidence, 2, status="waiting-input", output=None)
    change(evidence, 3, resumed_id=None, status="cancelled")
    assert breaches(evidence) == []


@pytest.mark.parametrize(
    ("path", "is_right"),
    [
        ("1 part out,2 part/call out,3 part/end -,4 inform out,5 end -", True),
        ("1 part/call out,2 part/end -,3 inform out,4 end -", False),
        ("1 part out,2 inform out,3 part/call out,4 part/end -,5 end -", False),
    ],
)
def test_a_replay_may_continue_within_a_subflow(path: str, is_right: bool) -> None:
    """Its first step is that of the caller, and then comes the node that failed."""
    evidence = good()
    [order] = [one for one in evidence.executions if one.id == "execution-6"]
    evidence.executions = [dataclasses.replace(order, flow_id=PARENT, version=1)]
    evidence.paths = {order.id: path}
    assert (list(executions.no_step_runs_twice(evidence)) == []) is is_right
