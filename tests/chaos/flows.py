"""What runs during the chaos: flows, webhooks, channels and a schedule."""

from typing import Any, Final

from tests.e2e.test_main_job import CHANNEL_SECRET
from tests.flow_runner.harness import chain, node

ORDER: Final = "order"
ASK: Final = "ask"
PARENT: Final = "parent"
BROKEN: Final = "broken"
TICK: Final = "tick"

CHANNELS: Final = ("messages-a", "messages-b")
"""A contact is always on the same channel."""

RETRY: Final = {"maxAttempts": 10, "delayMs": 500, "rate": 1.5, "maxDelayMs": 4000}

_NUMBER: Final = {"name": "n", "type": "string", "default": "", "scope": "execution", "secret": False}


def _call(path: str, crm: str, **data: Any) -> dict[str, Any]:
    body = {"n": "{{ vars.n }}", "execution": "{{ execution.id }}"}
    return node("call", "api", method="POST", url=f"{crm}{path}", body=body, **data)


def flows(crm: str) -> dict[str, dict[str, Any]]:
    """The flows by id. `crm` is the address of the API that they call.

    `order` has a message that awaits `sent`, an API call and a short delay; `ask` a question that is answered; `parent`
    a subflow; `broken` a call that always fails; `tick` is started by a schedule.
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
    named = {ORDER: order, ASK: ask, "child": child, PARENT: parent, BROKEN: broken, TICK: tick}
    return {name: {"name": name} | flow for name, flow in named.items()}


def webhooks() -> dict[str, dict[str, Any]]:
    """A webhook for each flow that a webhook starts, and for each channel of a contact: `FLOW-CHANNEL`."""
    found: dict[str, dict[str, Any]] = {}
    for flow in (ORDER, ASK, PARENT, BROKEN):
        for channel in CHANNELS:
            rule = {"channel": channel, "contact": "{{ body.from }}"}
            found[f"{flow}-{channel}"] = {
                "flowId": flow,
                "nodeId": "start",
                "auth": {"type": "none"},
                "dedupe": {"path": "id"},
                "rateLimit": {"max": 1_000_000, "windowMs": 60_000},
                "conversation": rule | ({"text": "{{ body.n }}"} if flow == ASK else {}),
            }
    return found


def channels(messages: str) -> dict[str, dict[str, Any]]:
    """The channels, whose messages go to the address `messages`."""
    return {name: {"type": "http", "url": f"{messages}/{name}", "secret": CHANNEL_SECRET} for name in CHANNELS}


SCHEDULE: Final = {"flowId": TICK, "cron": "* * * * * *"}
"""Once a second."""
