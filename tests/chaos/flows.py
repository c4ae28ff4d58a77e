"""What runs during the chaos: flows, webhooks, channels and a schedule."""

from typing import Any, Final

from tests.e2e.test_main_job import CHANNEL_SECRET
from tests.flow_runner.harness import chain, flow, node

ORDER: Final = "order"
ASK: Final = "ask"
SURVEY: Final = "survey"
PARENT: Final = "parent"
BROKEN: Final = "broken"
TICK: Final = "tick"

QUESTIONS: Final = (ASK, SURVEY)
"""The flows with a question. A webhook of any of them answers the question that is open in its conversation."""

CHANNELS: Final = ("messages-a", "messages-b", "messages-c")
"""A contact is always on the same channel."""

SURVEY_S: Final = 8.0
"""How long `survey` waits for the answer to its question."""

NO_ANSWER: Final = "no answer"
"""The output of a `survey` whose question was not answered in time."""

RETRY: Final = {"maxAttempts": 10, "delayMs": 500, "rate": 1.5, "maxDelayMs": 4000}

_NUMBER: Final = {"name": "n", "type": "string", "default": "", "scope": "execution", "secret": False}


def _call(path: str, crm: str, **data: Any) -> dict[str, Any]:
    body = {"n": "{{ vars.n }}", "execution": "{{ execution.id }}"}
    return node("call", "api", method="POST", url=f"{crm}{path}", body=body, **data)


def flows(crm: str) -> dict[str, dict[str, Any]]:
    """The flows by id. `crm` is the address of the API that they call.

    `order` has a message that awaits `sent`, an API call and a short delay; `ask` a question that is answered; `survey`
    one that is answered late or never; `parent` a subflow; `broken` a call that always fails; `tick` is started by a
    schedule.
    """
    keep = node("keep", "set-variable", assignments=[{"variable": "n", "value": "{{ webhook.body.n }}"}])
    order = chain(
        keep,
        _call("/orders", crm, retry=RETRY),
        node("wait", "delay", ms=200),
        node("inform", "message", text="order {{ vars.n }}", **{"await": "sent"}),
        node("end", "end", output="{{ vars.n }}"),
        variables=[_NUMBER],
    )
    ask = chain(
        keep,
        node("question", "input", prompt="question {{ vars.n }}", variable="answer"),
        node("echo", "message", text="answer {{ vars.answer }}"),
        node("end", "end", output="{{ vars.answer }}"),
        variables=[_NUMBER, _NUMBER | {"name": "answer"}],
    )
    survey = flow(
        keep,
        node("question", "input", prompt="survey {{ vars.n }}", variable="answer", timeoutMs=int(SURVEY_S * 1000)),
        node("end", "end", output="{{ vars.answer }}"),
        node("silent", "end", output=NO_ANSWER),
        edges="start.out>keep keep.out>question question.out>end question.timeout>silent",
        variables=[_NUMBER, _NUMBER | {"name": "answer"}],
    )
    child = chain(
        keep, _call("/parts", crm, retry=RETRY), node("end", "end", output="{{ vars.n }}"), variables=[_NUMBER]
    )
    parent = chain(
        keep,
        node("part", "subflow", flowId="child", input={"n": "{{ vars.n }}"}, output={"part": "{{ output }}"}),
        node("inform", "message", text="parent {{ vars.part }}"),
        node("end", "end", output="{{ vars.part }}"),
        variables=[_NUMBER, _NUMBER | {"name": "part"}],
    )
    broken = chain(keep, _call("/broken", crm), node("end", "end"), variables=[_NUMBER])
    tick = chain(node("end", "end", output="tick"))
    named = {ORDER: order, ASK: ask, SURVEY: survey, "child": child, PARENT: parent, BROKEN: broken, TICK: tick}
    return {name: {"name": name} | definition for name, definition in named.items()}


def webhooks() -> dict[str, dict[str, Any]]:
    """A webhook for each flow that a webhook starts, and for each channel of a contact: `FLOW-CHANNEL`."""
    found: dict[str, dict[str, Any]] = {}
    for flow_id in (ORDER, ASK, SURVEY, PARENT, BROKEN):
        for channel in CHANNELS:
            rule = {"channel": channel, "contact": "{{ body.from }}"}
            found[f"{flow_id}-{channel}"] = {
                "flowId": flow_id,
                "nodeId": "start",
                "auth": {"type": "none"},
                "dedupe": {"path": "id"},
                "rateLimit": {"max": 1_000_000, "windowMs": 60_000},
                "conversation": rule | ({"text": "{{ body.n }}"} if flow_id in QUESTIONS else {}),
            }
    return found


def channels(messages: str) -> dict[str, dict[str, Any]]:
    """The channels, whose messages go to the address `messages`."""
    return {name: {"type": "http", "url": f"{messages}/{name}", "secret": CHANNEL_SECRET} for name in CHANNELS}


SCHEDULE: Final = {"flowId": TICK, "cron": "* * * * * *"}
"""Once a second."""
