"""`loop` runs its body for each item, in order, also over waits and crashes."""

import re
from typing import Any

import pytest

from filas.flows.publishing_checks import check
from filas.models.executions import ExecutionStatus
from tests.flow_runner.harness import Harness, Response, compiled_flow, flow, node, path, step

SEEN = [{"name": "seen", "type": "list", "default": []}, {"name": "text", "type": "string", "default": ""}]


def _append(node_id: str, template: str) -> dict[str, Any]:
    """Adds the template's text and a blank to the variable `text`."""
    return node(
        node_id, "set-variable", assignments=[{"variable": "text", "value": "{{ vars.text }}" + template + " "}]
    )


def _each(*body: dict[str, Any], edges: str, items: str = "{{ webhook.body.items }}", **data: Any) -> dict[str, Any]:
    return flow(
        node("each", "loop", items=items, **data),
        *body,
        node("end", "end", output={"text": "{{ vars.text }}"}),
        edges=f"start>each each.done>end {edges}",
        variables=SEEN,
    )


def _body(**fields: Any) -> dict[str, Any]:
    return {"body": fields, "headers": {}, "queryParams": {}}


@pytest.mark.parametrize("back", ["", " add>each"], ids=["path ends", "edge back"])
async def test_the_body_runs_for_each_item_and_then_the_loop_leaves_by_done(back: str) -> None:
    """The body's path may end, or lead back to the loop."""
    harness = Harness()
    definition = _each(_append("add", "{{ loop.item }}"), edges="each.loop>add" + back)
    row = await harness.run(definition, webhook=_body(items=["a", "b", "c"]))
    assert (row.status, row.output) == ("succeeded", {"text": "a b c "})
    assert path(row) == ["start", "each", "add", "each", "add", "each", "add", "each", "end"]
    assert [each.handle for _, each in sorted(row.steps.items()) if each.node_id == "each"] == ["loop"] * 3 + ["done"]
    assert step(row, "each").output == {"count": 3}


async def test_a_loop_without_items_leaves_by_done() -> None:
    row = await Harness().run(_each(_append("add", "x"), edges="each.loop>add"), webhook=_body(items=[]))
    assert path(row) == ["start", "each", "end"]


async def test_every_name_of_a_loop_is_in_scope() -> None:
    names = "{{ loop.it.id }}{{ loop.index }}{{ loop.number }}{{ loop.length }}{{ loop.first }}{{ loop.last }}"
    definition = _each(_append("add", names), edges="each.loop>add", **{"as": "it"})
    row = await Harness().run(definition, webhook=_body(items=[{"id": "p"}, {"id": "q"}]))
    assert row.output == {"text": "p012truefalse q122falsetrue "}


async def test_a_loop_in_a_loop_sees_the_items_of_both() -> None:
    definition = _each(
        node("inner", "loop", items="{{ loop.row }}", **{"as": "cell"}),
        _append("add", "{{ loop.row | size }}{{ loop.parent.index }}{{ loop.cell }}"),
        edges="each.loop>inner inner.loop>add",
        **{"as": "row"},
    )
    row = await Harness().run(definition, webhook=_body(items=[["a", "b"], [], ["c"]]))
    assert row.output == {"text": "20a 20b 12c "}


async def test_an_edge_to_the_outer_loop_leaves_the_inner_one() -> None:
    """The other items of the inner loop are skipped."""
    definition = _each(
        node("inner", "loop", items="{{ loop.row }}", **{"as": "cell"}),
        node("stop", "condition", rules=[{"variable": "{{ loop.cell }}", "operator": "equals", "value": "x"}]),
        _append("add", "{{ loop.cell }}"),
        edges="each.loop>inner inner.loop>stop stop.true>each stop.false>add",
        **{"as": "row"},
    )
    row = await Harness().run(definition, webhook=_body(items=[["a", "x", "b"], ["c"]]))
    assert row.output == {"text": "a c "}


async def test_several_edges_of_a_body_are_all_run_before_the_next_item() -> None:
    definition = _each(
        _append("one", "1{{ loop.item }}"),
        _append("two", "2{{ loop.item }}"),
        edges="each.loop>one each.loop>two one>each",
    )
    row = await Harness().run(definition, webhook=_body(items=["a", "b"]))
    assert row.output == {"text": "1a 2a 1b 2b "}


async def test_the_items_are_fixed_when_the_loop_starts() -> None:
    """The body writes to the list without effect on the loop."""
    grow = node("grow", "set-variable", assignments=[{"variable": "seen", "value": "{{ 'x,y,z' | split: ',' }}"}])
    definition = _each(grow, edges="each.loop>grow", items="{{ vars.seen }}")
    definition["variables"][0]["default"] = ["a", "b"]
    row = await Harness().run(definition)
    assert path(row).count("grow") == 2


async def test_a_body_that_waits_continues_with_its_item() -> None:
    """Each run may be in another process."""
    definition = _each(
        node("wait", "delay", ms=1000), _append("add", "{{ loop.item }}"), edges="each.loop>wait wait>add"
    )
    row = await Harness().run(definition, webhook=_body(items=["a", "b"]))
    assert (row.output, row.turn) == ({"text": "a b "}, 3)


@pytest.mark.parametrize(
    ("items", "found"),
    [("text", '"text"'), (None, "null"), ({"a": 1}, 'the object {"a":1}'), (7, "7"), (True, "true")],
)
async def test_items_that_are_not_a_list_are_shown_in_the_failure(items: Any, found: str) -> None:
    definition = _each(_append("add", "x"), edges="each.loop>add")
    row = await Harness().run(definition, webhook=_body(items=items))
    assert row.error is not None
    assert (row.error.kind, row.error.node_id) == ("loop", "each")
    assert f"items: expected a list, found {found} (in" in row.error.message


async def test_more_items_than_allowed_are_an_error_before_the_first() -> None:
    definition = _each(_append("add", "x"), edges="each.loop>add", maxIterations=2)
    row = await Harness().run(definition, webhook=_body(items=[1, 2, 3]))
    assert row.error is not None
    assert row.error.message == "items: has 3 entries, and maxIterations is 2: raise it, or select fewer items"
    assert path(row) == ["start", "each"]


async def test_visits_of_a_body_are_counted_for_each_item() -> None:
    """150 items pass a bound of 100 visits per node. A cycle inside the body does not."""
    definition = _each(_append("add", "x"), edges="each.loop>add")
    row = await Harness().run(definition, webhook=_body(items=list(range(150))))
    assert row.status == "succeeded"
    spin = _each(
        node("wait", "delay", ms=1), node("again", "delay", ms=1), edges="each.loop>wait wait>again again>wait"
    )
    row = await Harness().run(spin, webhook=_body(items=[1]))
    assert row.error is not None
    assert row.error.kind == "limit"
    assert row.error.detail == {"cycle": ["wait", "again", "wait"]}


async def test_steps_are_bounded_in_all() -> None:
    """The shortest path of an item is the loop's own visit, so that the loop begins."""
    skip = node("if", "condition", expression="true")
    definition = _each(skip, _append("add", "x"), edges="each.loop>if if.true>add") | {"settings": {"maxSteps": 20}}
    row = await Harness().run(definition, webhook=_body(items=list(range(9))))
    assert row.error is not None
    assert (row.error.kind, len(row.steps)) == ("limit", 20)


@pytest.mark.parametrize("crash_at", range(1, 4))
async def test_a_killed_worker_repeats_no_finished_call_of_a_loop(crash_at: int) -> None:
    """Each item is sent under a key of its own, and after the crash again under the same key."""
    harness = Harness()
    definition = _each(
        node("send", "api", method="POST", url="https://crm.example/", body={"item": "{{ loop.item }}"}),
        edges="each.loop>send send>each",
    )
    row, compiled = harness.rows.add(webhook=_body(items=["a", "b", "c"])), compiled_flow(definition)
    real, left = harness.rows.checkpoint_many, crash_at

    async def killed(checkpoints: Any) -> list[ExecutionStatus | None]:
        nonlocal left
        left -= 1
        if left == 0:
            raise SystemError("killed")
        return await real(checkpoints)

    harness.rows.checkpoint_many = killed  # type: ignore[method-assign]
    with pytest.raises(SystemError):
        await harness.run_once(row, compiled)
    harness.crash(row)
    await harness.finish(row, compiled)
    sent = [(call.json["item"], call.headers["Idempotency-Key"]) for call in harness.outbound.calls]
    assert list(dict.fromkeys(item for item, _ in sent)) == ["a", "b", "c"]
    assert len({key for _, key in sent}) == 3
    assert len(sent) <= 4


async def test_a_failed_execution_is_replayed_from_the_item_where_it_failed() -> None:
    harness = Harness()
    definition = _each(
        node("send", "api", method="POST", url="https://crm.example/{{ loop.item }}"),
        _append("add", "{{ loop.item }}"),
        edges="each.loop>send send>add",
    )
    harness.outbound.respond = lambda call: Response(status=400) if call.url.endswith("b") else Response()
    failed = await harness.run(definition, webhook=_body(items=["a", "b", "c"]))
    assert failed.status == "failed"
    harness.outbound.respond = lambda _: Response()
    again = harness.rows.add(webhook=_body(items=["a", "b", "c"]))
    again.start_state = failed.state
    await harness.finish(again, compiled_flow(definition))
    assert again.output == {"text": "a b c "}
    assert [call.url[-1] for call in harness.outbound.calls] == ["a", "b", "b", "c"]


@pytest.mark.parametrize(
    ("nodes", "edges", "items", "sent"),
    [
        ([], "each.loop>a a>b b>c", 400, None),
        ([], "each.loop>a each.loop>b each.loop>c", 300, None),
        ([], "each.loop>a a>b b>c", 249, 747),
        # The shorter path may be taken for every item.
        ([node("if", "condition", expression="false")], "each.loop>if if.true>a a>b b>c", 400, 0),
        ([node("if", "condition", expression="false")], "each.loop>if if.true>a if.false>b", 400, None),
        # The execution may end at an item.
        (
            [node("if", "condition", expression="loop.index > 3"), node("stop", "end")],
            "each.loop>if if.true>stop if.false>a a>b b>c",
            400,
            12,
        ),
        (
            [node("inner", "loop", items="{{ webhook.body.none }}")],
            "each.loop>inner inner.loop>a inner.done>b",
            400,
            None,
        ),
    ],
)
async def test_a_loop_that_cannot_reach_its_last_item_sends_nothing(
    nodes: list[dict[str, Any]], edges: str, items: int, sent: int | None
) -> None:
    harness = Harness()
    messages = [node(name, "message", text="oi") for name in "abc" if f">{name}" in edges]
    definition = _each(*nodes, *messages, edges=edges)
    row = await harness.run(definition, webhook=_body(items=list(range(items)), none=[]))
    assert len(harness.rows.notifications) == (sent or 0)
    if sent is None:
        assert row.error is not None
        assert (row.status, row.error.kind, row.error.node_id) == ("failed", "limit", "each")
        assert re.match(
            rf"items: has {items} entries, which need at least [\d,]+ steps, and only 998 are", row.error.message
        )
    else:
        assert row.status == "succeeded"


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (
            _each(_append("add", "{{ loop.other }}"), edges="each.loop>add"),
            ("add", "assignments[0].value", "unknown name 'loop.other'"),
        ),
        (
            flow(node("x", "message", text="{{ loop.item }}"), edges="start>x"),
            ("x", "text", "`loop` is known only inside a loop"),
        ),
        (
            _each(_append("add", "x"), edges="each.loop>add", items="{{ loop.item }}"),
            ("each", "items", "`loop` is known only inside a loop"),
        ),
        (_each(_append("add", "x"), edges="each.loop>add", items="a,b"), ("each", "items", "names no list")),
        (_each(_append("add", "x"), edges="each.loop>add", **{"as": "index"}), ("each", "as", "reserved name")),
        (_each(_append("add", "x"), edges="each.loop>add", maxIterations=0), ("each", "maxIterations", "at least 1")),
        (
            flow(node("each", "loop", items="{{ webhook.body }}"), edges="start>each each.done>each"),
            ("each", "", "is on a cycle that never waits"),
        ),
    ],
)
def test_publishing_reports_the_errors_of_a_loop(definition: dict[str, Any], expected: tuple[str, str, str]) -> None:
    node_id, field, message = expected
    found = [(one.node_id, one.field, one.message) for one in check(definition)[1]]
    assert any((one[0], one[1]) == (node_id, field) and message in one[2] for one in found), found
