"""What runs during the soak test: the flows of the chaos runs, a question without an answer, and a refused message."""

from typing import Any, Final

from tests.chaos import flows
from tests.e2e.test_main_job import CHANNEL_SECRET
from tests.flow_runner.harness import chain, node

SILENT: Final = "silent"
UNDELIVERED: Final = "undelivered"
REFUSED: Final = "refused"
"""The channel whose receiver refuses each message. Its jobs become dead letters."""

SILENT_MS: Final = 60_000
"""How long the question waits for an answer."""

ENDS_AS: Final = {
    flows.ORDER: "succeeded",
    flows.ASK: "succeeded",
    flows.PARENT: "succeeded",
    flows.BROKEN: "failed",
    SILENT: "timed-out",
    UNDELIVERED: "succeeded",
}
"""The status with which the executions of each flow end."""


def all_flows(crm: str) -> dict[str, dict[str, Any]]:
    """The flows by id, in an order in which they can be published. `crm` is the address of the API that they call."""
    silent = chain(
        node("question", "input", prompt="question", variable="answer"),
        node("end", "end"),
        variables=[{"name": "answer", "type": "string", "default": "", "scope": "execution", "secret": False}],
        settings={"conversation": {"idleMs": SILENT_MS}},
    )
    undelivered = chain(node("inform", "message", text="to a closed address"), node("end", "end"))
    found = flows.flows(crm)
    parent = found.pop(flows.PARENT)
    found |= {SILENT: {"name": SILENT} | silent, UNDELIVERED: {"name": UNDELIVERED} | undelivered}
    return found | {flows.PARENT: parent}


def all_webhooks() -> dict[str, dict[str, Any]]:
    """The webhooks by id: `FLOW-CHANNEL`."""
    found = {name: webhook for name, webhook in flows.webhooks().items() if webhook["flowId"] in ENDS_AS}
    example = found[f"{flows.ORDER}-{flows.CHANNELS[0]}"]
    for flow, channel in ((SILENT, flows.CHANNELS[0]), (UNDELIVERED, REFUSED)):
        found[f"{flow}-{channel}"] = example | {
            "flowId": flow,
            "conversation": {"channel": channel, "contact": "{{ body.from }}"},
        }
    return found


def all_channels(messages: str) -> dict[str, dict[str, Any]]:
    """The channels by id, whose messages go to the address `messages`."""
    refused = {"type": "http", "url": f"{messages}/{REFUSED}/broken", "secret": CHANNEL_SECRET}
    return flows.channels(messages) | {REFUSED: refused}
