"""What operators did in a run that went well, and how each check about them can be broken."""

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from tests.chaos import flows
from tests.chaos.actions import Action, Kind
from tests.chaos.evidence import Evidence, Execution, Version


def versions(began: datetime) -> list[Version]:
    """Version 1 of each flow, and version 2 of `order`, stored 20 s after the beginning."""
    stored = [
        Version(name, 1, json.dumps(definition), began - timedelta(minutes=1), published=name != flows.ORDER)
        for name, definition in flows.flows("http://crm").items()
    ]
    order = next(one for one in stored if one.flow_id == flows.ORDER)
    sour = Version("sour", 1, '{"nodes": [], "edges": []}', began - timedelta(minutes=1), published=True)
    return [
        *stored,
        sour,
        dataclasses.replace(order, version=2, created_at=began + timedelta(seconds=20), published=True),
    ]


def actions(began: datetime) -> list[Action]:
    """A cancellation, two replays, a pause, and edits."""

    def action(at_s: float, kind: Kind, operation: str, subject: str, **fields: Any) -> Action:
        at = began + timedelta(seconds=at_s)
        values: dict[str, Any] = {"answered_at": at + timedelta(seconds=0.1), "answer": {}} | fields
        return Action(kind, operation, subject, at, **values)

    webhook, schedule = {"enabled": False, "flowId": "order"}, {"enabled": False}
    ended = (began + timedelta(seconds=11)).isoformat()
    jobs = [{"id": "job", "state": "completed", "processedOn": (began + timedelta(seconds=50)).timestamp() * 1000}]
    return [
        action(9.0, "cancel", "cancelExecution", "executions/execution-8"),
        action(
            12.0,
            "replay",
            "replayExecution",
            "executions/execution-1",
            seen={"status": "succeeded", "endedAt": ended},
            answer={"id": "execution-6"},
        ),
        action(13.0, "replay-event", "replayEvent", "events/event-4"),
        action(20.0, "edit", "putFlow", "flows/order", request={}, answer={"version": 2}),
        action(21.0, "edit", "putWebhook", "webhooks/order-messages-c", request=webhook),
        action(30.0, "edit", "putWebhook", "webhooks/order-messages-c", request=webhook | {"enabled": True}),
        action(31.0, "edit", "putSchedule", "schedules/tick", request=schedule),
        action(33.0, "edit", "putSchedule", "schedules/tick", request={}),
        action(34.0, "edit", "putChannel", "channels/messages-a", request={"url": "http://a?edit=1"}),
        action(51.0, "pause", "pauseQueue", "queue/flow", answer={"changed": True}),
        action(
            56.0, "resume", "resumeQueue", "queue/flow", answer={"changed": True},
            seen={"at": began + timedelta(seconds=55), "jobs": jobs},
        ),
    ]  # fmt: skip


def add(evidence: Evidence) -> None:
    """Adds them to a run that has the executions 1 to 5, and what they caused."""
    began, by_id = evidence.began, {one.id: one for one in evidence.executions}
    evidence.actions = actions(began)
    evidence.audit = [(one.operation, one.subject, "done") for one in evidence.actions]
    evidence.versions = versions(began)
    evidence.runs = {"event-4": 1}
    evidence.stored = {
        "flows/order": {"version": 2, "published": True},
        "webhooks/order-messages-c": {"enabled": True, "flowId": "order", "path": "order"},
        "channels/messages-a": {"url": "http://a?edit=1"},
    }
    order, broken = by_id["execution-1"], by_id["execution-4"]
    later = began + timedelta(seconds=14)
    times: dict[str, Any] = {"queued_at": later, "started_at": later, "ended_at": later}
    evidence.executions = [
        *evidence.executions,
        dataclasses.replace(order, id="execution-6", replay_of="execution-1", **times),
        dataclasses.replace(broken, id="execution-7", **times),
        dataclasses.replace(order, id="execution-8", event_id="event-8", status="cancelled", output=None),
        dataclasses.replace(order, id="tick-1", event_id=None, flow_id=flows.TICK, output="tick"),
    ]
    [sent] = [one for one in evidence.sent if one.name == "c:1"]
    evidence.sent = [*evidence.sent, dataclasses.replace(sent, contact="e", number=8, event_id="event-8")]
    evidence.events["event-8"] = "processed"
    [written] = [one for one in evidence.notifications if one.execution_id == "execution-1"]
    [arrival] = [one for one in evidence.messages if one.key == written.key]
    repeated = dataclasses.replace(written, id="message-6", execution_id="execution-6", key="key-6")
    evidence.notifications = [*evidence.notifications, repeated]
    evidence.messages = [*evidence.messages, dataclasses.replace(arrival, key="key-6")]
    evidence.paths = {one.id: PATHS[one.flow_id] for one in evidence.executions if one.id != "execution-8"}
    evidence.paths["execution-3"] = ""


PATHS: Final = {
    flows.ORDER: "1 start out,2 keep out,3 call out,4 wait out,5 inform out,6 end -",
    flows.ASK: "1 start out,2 keep out,3 question out,4 echo out,5 end -",
    flows.SURVEY: "1 start out,2 keep out,3 question timeout,4 silent -",
    flows.BROKEN: "1 start out,2 keep out,3 call -",
    flows.TICK: "1 start out,2 end -",
}
"""The steps of each flow."""


def change(evidence: Evidence, execution_id: str, **changes: Any) -> None:
    """Changes one execution."""
    evidence.executions = [
        dataclasses.replace(one, **changes) if one.id == execution_id else one for one in evidence.executions
    ]


def _at(evidence: Evidence, seconds: float) -> datetime:
    return evidence.began + timedelta(seconds=seconds)


def _write_after_cancel(evidence: Evidence) -> None:
    one = evidence.notifications[0]
    written = dataclasses.replace(one, id="late", execution_id="execution-8", key="late", created_at=_at(evidence, 20))
    evidence.notifications = [*evidence.notifications, written]


def _call_after_cancel(evidence: Evidence) -> None:
    body = json.dumps({"execution": "execution-8"}).encode()
    evidence.calls = [*evidence.calls, dataclasses.replace(evidence.calls[0], at_s=20.0, key="late", body=body)]


def _replay_twice(evidence: Evidence) -> None:
    evidence.executions = [*evidence.executions, _with_id(evidence, "execution-6", "execution-9")]


def _with_id(evidence: Evidence, execution_id: str, new_id: str) -> Execution:
    return dataclasses.replace(next(one for one in evidence.executions if one.id == execution_id), id=new_id)


def _without(evidence: Evidence, execution_id: str) -> None:
    evidence.executions = [one for one in evidence.executions if one.id != execution_id]


def _claim_while_paused(evidence: Evidence) -> None:
    seen = next(one for one in evidence.actions if one.kind == "resume").seen
    seen["jobs"][0]["processedOn"] = _at(evidence, 54).timestamp() * 1000


def _accept_while_disabled(evidence: Evidence) -> None:
    evidence.sent[0].channel, evidence.sent[0].accepted_s = "messages-c", 28.0


def _change_text(evidence: Evidence) -> None:
    evidence.notifications = [dataclasses.replace(one, text="order") for one in evidence.notifications]


def _arrive_at_the_former_address(evidence: Evidence) -> None:
    evidence.messages = [*evidence.messages, dataclasses.replace(evidence.messages[0], at_s=60.0)]


def _path(execution_id: str, path: str) -> Callable[[Evidence], None]:
    return lambda found: found.paths.update({execution_id: path})


BROKEN: Final[dict[str, list[Callable[[Evidence], None]]]] = {
    "no_step_runs_twice": [
        _path("execution-1", "1 start out,2 keep out,3 call out,4 call out,5 wait out,6 inform out,7 end -"),
        _path("execution-1", "1 start out,2 keep out,4 call out,5 wait out,6 inform out,7 end -"),
        _path("execution-1", "1 start out,2 keep out,3 wait out,4 inform out,5 end -"),
        _path("execution-1", "1 start out,2 keep out,3 call out"),
        _path("execution-1", ""),
    ],
    "a_cancellation_stays_in_effect": [
        lambda found: change(found, "execution-8", status="running"),
        lambda found: change(found, "execution-8", status="succeeded", ended_at=_at(found, 30)),
        lambda found: _without(found, "execution-8"),
    ],
    "a_cancelled_execution_does_nothing": [_write_after_cancel, _call_after_cancel],
    "a_replay_makes_one_execution": [
        _replay_twice,
        lambda found: _without(found, "execution-6"),
        lambda found: change(found, "execution-6", status="running"),
    ],
    "a_replay_ends_as_it_should": [lambda found: change(found, "execution-6", output="c:2")],
    "the_original_of_a_replay_stays": [
        lambda found: change(found, "execution-1", ended_at=_at(found, 15)),
        lambda found: change(found, "execution-1", status="failed"),
    ],
    "the_replay_of_an_event_makes_one_execution": [
        lambda found: _without(found, "execution-7"),
        lambda found: found.runs.update({"event-4": 2}),
        lambda found: found.runs.clear(),
    ],
    "an_execution_has_the_published_version": [
        lambda found: change(found, "execution-1", version=3),
        lambda found: change(found, "execution-1", version=2),
        lambda found: change(found, "execution-1", queued_at=_at(found, 25)),
    ],
    "a_message_has_the_text_of_its_version": [_change_text],
    "the_newest_edit_is_stored": [
        lambda found: setattr(found, "stored", {}),
        lambda found: found.stored["flows/order"].update(version=1),
        lambda found: found.stored["webhooks/order-messages-c"].update(enabled=False),
    ],
    "messages_go_to_the_address_of_their_channel": [_arrive_at_the_former_address],
    "a_disabled_webhook_accepts_nothing": [_accept_while_disabled],
    "a_disabled_schedule_starts_nothing": [lambda found: change(found, "tick-1", queued_at=_at(found, 32))],
    "no_action_is_refused_without_reason": [
        lambda found: found.actions[0].others.append("401"),
        lambda found: found.actions[0].others.append("500"),
    ],
    "a_pause_holds": [_claim_while_paused],
    "the_audit_has_each_change_once": [
        lambda found: setattr(found, "audit", found.audit[1:]),
        lambda found: setattr(found, "audit", [*found.audit, found.audit[0]]),
    ],
}
