"""The examples of the node types, from node_examples.json: whole flows, each with a test run and its result."""

import json
from pathlib import Path
from typing import Any

import msgspec

from tests.reference.json_layout import laid_out

MAX_INLINE = 60
"""The longest body, in characters, that is shown within a sentence."""


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`test` is the body of the test run, `visits` the nodes that it visits, and `result` a part of its answer.
    `subflows` are the flows that it calls, by id."""

    description: str
    flow: dict[str, Any]
    test: dict[str, Any]
    visits: list[str]
    result: dict[str, Any]
    subflows: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)


EXAMPLES = msgspec.json.decode(
    Path(__file__).with_name("node_examples.json").read_bytes(), type=dict[str, list[Example]]
)
"""At least one example of each node type."""


def section(node_type: str) -> str:
    """The examples of one node type."""
    return "\n".join(_section(example) for example in EXAMPLES[node_type])


def _section(example: Example) -> str:
    flows = [*(example.subflows.values()), example.flow]
    lines = [f"Example: {example.description}", ""]
    for flow in flows:
        lines += ["```json", laid_out(flow), "```", ""]
    test, visits = json.dumps(example.test, ensure_ascii=False), " ".join(f"`{node_id}`" for node_id in example.visits)
    if len(test) < MAX_INLINE:
        lines += [f"The [test run](../how-to/test-a-flow.md) `{test}` visits {visits}. A part of its answer:", ""]
    else:
        lines += ["A [test run](../how-to/test-a-flow.md) with this body", "", "```json", laid_out(example.test), "```"]
        lines += ["", f"visits {visits}. A part of its answer:", ""]
    lines += ["```json", laid_out(example.result), "```", ""]
    return "\n".join(lines)
