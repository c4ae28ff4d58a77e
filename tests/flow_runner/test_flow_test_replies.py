"""The replies of a test run have the same effect as messages of a real conversation."""

from typing import Any

import pytest

from filas.contract.jobs import FIRST_VERSION, REPLIES_VERSION, replies_version
from tests.flow_runner.harness import flow, node
from tests.flow_runner.test_flow_test import path, run_of
from tests.flow_runner.test_input import CHOICES

PLACE = {"latitude": -23.5, "longitude": -46.6, "name": None, "address": None}
HOUR_MS = 3_600_000


def asking(settings: Any = None, **data: Any) -> dict[str, Any]:
    """A flow that asks twice, and whose output are both answers."""
    first = node("first", "input", **{"prompt": "?", "variable": "a"} | data)
    second = node("second", "input", prompt="?", variable="b")
    end = node("end", "end", output=["{{ vars.a }}", "{{ vars.b }}"])
    late, other = node("late", "end", output="late"), node("other", "end", output="{{ conversation.text }}")
    edges = "start>first first.out>second second.out>end first.timeout>late"
    nodes = [first, second, end, late]
    if data.get("kind") == "choice":
        nodes, edges = [*nodes, other], f"{edges} first.other>other"
    variables = [{"name": "a"}, {"name": "b"}, {"name": "shade", "default": "sky"}]
    return flow(*nodes, edges=edges, variables=variables, settings=settings or {})


@pytest.mark.parametrize(
    ("data", "replies", "output"),
    [
        pytest.param({}, ["Ana", "33"], ["Ana", "33"], id="texts"),
        pytest.param({"kind": "date"}, ["05/11/2026", "x"], ["2026-11-05", "x"], id="a date"),
        pytest.param({"kind": "location"}, [{"kind": "location", "data": PLACE}, "x"], [PLACE, "x"], id="a place"),
        pytest.param(
            {"kind": "file"}, [{"kind": "image", "media": {"id": "M"}}, "x"], [{"id": "M"}, "x"], id="a medium"
        ),
        pytest.param({"kind": "form"}, [{"kind": "form", "data": {"n": 1}}, "x"], [{"n": 1}, "x"], id="a form"),
        pytest.param({"kind": "choice", "choices": CHOICES}, ["2", "x"], ["blue", "x"], id="a choice"),
        pytest.param(
            {"kind": "choice", "choices": CHOICES},
            [{"kind": "button", "text": "?", "data": {"id": "red"}}, "x"],
            ["red", "x"],
            id="a button",
        ),
        pytest.param({"kind": "choice", "choices": CHOICES}, ["what?"], "what?", id="no choice"),
        pytest.param({"collectMs": 3000}, ["Ana", "33"], ["Ana", "33"], id="a text is a burst of its own"),
        pytest.param({"collectMs": 3000}, [["Ana", "Lima"], "33"], ["Ana\nLima", "33"], id="a burst"),
        pytest.param({"collectMs": 3000}, ["Ana", None, "33"], "none", id="no reply to the second question"),
        pytest.param({}, [["Ana", "33"]], ["Ana", "33"], id="a burst without collectMs answers two questions"),
        pytest.param({}, [None], "late", id="no reply: the question is open for idleMs"),
        pytest.param({"timeoutMs": HOUR_MS}, [None], "late", id="no reply within timeoutMs"),
    ],
)
async def test_replies(data: dict[str, Any], replies: list[Any], output: Any) -> None:
    result = await run_of(asking(**data), replies=replies)
    if output == "none":
        assert (result.status, path(result)[-1]) == ("timed-out", "second")
    else:
        assert (result.status, result.output, result.error) == ("succeeded", output, None)


async def test_a_question_without_a_reply_ends_after_idle_ms() -> None:
    result = await run_of(asking({"conversation": {"idleMs": HOUR_MS}}), replies=[None])
    assert result.output == "late"
    assert (result.ended_at - result.started_at).total_seconds() == pytest.approx(3600, abs=10)


@pytest.mark.parametrize(("text", "restarts"), [("MENU!", True), ("menus", False)])
async def test_a_text_that_restarts_the_conversation_cancels_the_run(text: str, restarts: bool) -> None:
    """As the real execution would be cancelled. The replies after it would be for the next one."""
    result = await run_of(asking({"conversation": {"restartOn": ["menu"]}}), replies=[text, "33"])
    assert (result.status, result.unused_replies) == (("cancelled", 1) if restarts else ("succeeded", 0))
    if restarts:
        assert result.error is not None
        assert (result.error.kind, result.steps[-1].status) == ("restarted", "cancelled")


async def test_replies_that_no_node_waits_for_are_counted() -> None:
    """A missing reply is not one."""
    result = await run_of(asking(), replies=["a", "b", "c", ["d", "e"], None])
    assert (result.status, result.unused_replies) == ("succeeded", 3)


async def test_without_further_replies_a_burst_ends() -> None:
    result = await run_of(asking(collectMs=3000), replies=["Ana"])
    assert (result.status, path(result)) == ("waiting-input", ["start", "first", "second"])


@pytest.mark.parametrize(
    ("replies", "version"),
    [
        ([], FIRST_VERSION),
        (["a", None], FIRST_VERSION),
        (["a", {"kind": "image"}], REPLIES_VERSION),
        ([["a"]], REPLIES_VERSION),
    ],
)
def test_an_older_worker_does_not_get_replies_that_it_cannot_read(replies: list[Any], version: int) -> None:
    assert replies_version(replies) == version
