"""The changes of module that a reader makes to follow one execution: webhook → condition → api → message.

`python -m tests.flow_runner.test_call_path` prints them in order.

A change of module is a call from a function of one module of `flow_runner` to a function of another. A reader follows
the same call once, so each (calling module, called module, called function) counts once. Calls from outside of
`flow_runner` (the job, the batch of checkpoints) and functions without source text (generated constructors) do not
count.
"""

import asyncio
import sys
from types import FrameType
from typing import NamedTuple

from flow_runner.engine.execution_run import RunResult
from tests.flow_runner.harness import Harness, compiled_flow, flow, node

MOST_CHANGES = 32
"""23 until bodies were encoded by their content type, and messages were awaited and written for their channel. Since
only calls and messages derive an idempotency key, there are two more: each of both calls `key`."""

PACKAGE = "flow_runner."

FLOW = flow(
    node("is-hi", "condition", rules=[{"variable": "{{ webhook.body.text }}", "operator": "contains", "value": "oi"}]),
    node(
        "crm",
        "api",
        method="POST",
        url="https://crm.example/contacts",
        body={"phone": "{{ conversation.contact }}"},
        responseMapping=[{"variable": "nome", "path": "body.name"}],
    ),
    node("hello", "message", text="Olá {{ vars.nome }}"),
    edges="start>is-hi is-hi.true>crm crm>hello",
    variables=[{"name": "nome", "type": "string", "default": ""}],
)


class Change(NamedTuple):
    """A call from one module to a function of another."""

    caller: str
    called: str
    function: str


class Recorder:
    """A profile function that records each change of module, also repeated ones."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        # The event for a call also occurs when a coroutine is resumed. The frames are kept, so no id is used again.
        self._seen: dict[int, FrameType] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or not _is_ours(frame) or id(frame) in self._seen:
            return
        self._seen[id(frame)] = frame
        caller = frame.f_back
        while caller is not None and not _is_ours(caller):
            caller = caller.f_back
        if caller is not None and _module(caller) != _module(frame):
            self.changes.append(Change(_module(caller), _module(frame), frame.f_code.co_name))


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(PACKAGE) and frame.f_code.co_filename.endswith(".py")


def _module(frame: FrameType) -> str:
    return str(frame.f_globals["__name__"]).removeprefix(PACKAGE)


async def _follow() -> tuple[RunResult, list[Change]]:
    """Runs one claimed execution of the flow to its end."""
    harness, recorder = Harness(), Recorder()
    row = harness.rows.add()
    claimed = await harness.executions.claim(row.id, row.turn)
    assert claimed is not None
    compiled = compiled_flow(FLOW)
    previous = sys.getprofile()
    sys.setprofile(recorder)
    try:
        result = await harness.engine.run(claimed, compiled, lambda: False)
    finally:
        sys.setprofile(previous)
    return result, recorder.changes


async def test_following_one_execution_needs_few_changes_of_module() -> None:
    """It took 49 before the engine had one cursor."""
    result, changes = await _follow()
    assert result.status == "succeeded"
    followed = dict.fromkeys(changes)
    assert len(followed) < MOST_CHANGES, "\n".join(map(str, followed))


if __name__ == "__main__":
    _, made = asyncio.run(_follow())
    lines = [f"{change.caller} -> {change.called}.{change.function}" for change in dict.fromkeys(made)]
    modules = {name for change in made for name in change[:2]}
    lines.append(f"{len(lines)} changes between {len(modules)} modules ({len(made)} with repetitions)")
    sys.stdout.write("\n".join(lines) + "\n")
