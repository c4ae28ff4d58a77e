"""The examples in docs/reference/nodes.md: each can be published, and its test run has the result that is shown."""

import json
import re
from typing import Any

import msgspec
import pytest

from filas.contract.jobs import FlowTestJob
from filas.flows.definition.node_types import NODE_TYPES
from filas.flows.publishing_checks import check
from flow_runner.flow_test.flow_test_run import FlowTest
from ingest.api.definitions.flow_test_input import FlowTestBody
from tests.flow_runner.harness import KnownFlows, KnownSecrets
from tests.flow_runner.test_flow_test import job
from tests.reference.node_examples import EXAMPLES, Example

ALL = [
    pytest.param(node_type, example, id=f"{node_type}: {example.flow['name']}")
    for node_type, examples in EXAMPLES.items()
    for example in examples
]


def includes(found: Any, expected: Any) -> bool:
    """Whether `found` has all that is expected: objects may have more fields."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return all(name in found and includes(found[name], value) for name, value in expected.items())
    if isinstance(expected, list) and isinstance(found, list):
        return len(found) == len(expected) and all(map(includes, found, expected))
    return bool(found == expected)


def job_of(example: Example) -> FlowTestJob:
    """The job of the test run, as its route makes it."""
    body = msgspec.convert(example.test, FlowTestBody)
    talk = body.conversation
    return job(
        example.flow,
        trigger={"method": "POST", "webhookId": None, **msgspec.to_builtins(body.webhook)},
        message=talk and {"id": "test", "kind": "text", "text": talk.text, "contact": talk.contact},
        channel=talk and talk.channel,
        contact=talk and talk.contact,
        replies=msgspec.to_builtins(body.replies),
        answers={name: given if isinstance(given, list) else [given] for name, given in body.answers.items()},
    )


def test_every_node_type_has_an_example() -> None:
    """A new type needs an entry in tests/reference/node_examples.json, with a flow that has such a node."""
    assert EXAMPLES.keys() == NODE_TYPES.keys()
    for node_type, examples in EXAMPLES.items():
        assert examples
        assert all(node_type in {node["type"] for node in example.flow["nodes"]} for example in examples)


def test_every_mode_of_the_node_webhook_has_an_example() -> None:
    nodes = [node for example in EXAMPLES["webhook"] for node in example.flow["nodes"] if node["type"] == "webhook"]
    assert {node["data"]["mode"] for node in nodes} == {"trigger", "send", "wait"}


@pytest.mark.parametrize(("node_type", "example"), ALL)
async def test_an_example_has_its_result(node_type: str, example: Example) -> None:
    """The checks find nothing, and the test run visits the nodes and answers as the reference states."""
    flows, secrets = KnownFlows(), KnownSecrets()
    for flow_id, definition in example.subflows.items():
        assert check(definition)[1] == []
        flows.publish(flow_id, definition)
    assert check(example.flow)[1] == []
    secrets.values = dict.fromkeys(re.findall(r"secrets\.(\w+)", json.dumps(example.flow)), "real")
    result = await FlowTest(job_of(example), secrets, flows).run()
    assert [step.node_id for step in result.steps] == example.visits, result.error
    answer = json.loads(msgspec.json.encode(result))
    shown = {name: answer[name] for name in example.result}
    assert includes(answer, example.result), json.dumps(shown, indent=1, ensure_ascii=False)
    assert result.unused_replies == 0
