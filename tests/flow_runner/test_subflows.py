"""`subflow` runs another flow as part of an execution and returns its results."""

from typing import Any

import pytest

from filas.flows.publishing_checks import check
from tests.flow_runner.harness import Harness, Response, chain, compiled_flow, flow, node, path, step

PRICE = [{"name": "price", "type": "number"}, {"name": "sku", "type": "string"}]
ASK = {"method": "POST", "url": "https://shop.example/", "body": {"sku": "{{ vars.sku }}"}}
FIND = chain(
    node("ask", "api", **ASK, responseMapping=[{"variable": "price", "path": "body.price"}]),
    node("end", "end", output={"found": "{{ vars.sku }}"}),
    variables=PRICE,
)
CALL = {"flowId": "find", "input": {"sku": "{{ webhook.body.sku }}"}, "output": {"total": "{{ vars.price }}"}}


def _shop(**more: Any) -> dict[str, Any]:
    return chain(
        node("price", "subflow", **CALL | more),
        node("end", "end", output={"total": "{{ vars.total }}", "found": "{{ nodes.price.output.found }}"}),
        variables=[{"name": "total"}],
    )


def _body(**fields: Any) -> dict[str, Any]:
    return {"body": fields, "headers": {}, "queryParams": {}}


def _harness(**flows: dict[str, Any]) -> Harness:
    harness = Harness()
    harness.outbound.respond = lambda _: Response(body=b'{"price": 12.5}')
    for flow_id, definition in ({"find": FIND} | flows).items():
        harness.flows.publish(flow_id, definition)
    return harness


async def test_a_subflow_receives_its_input_and_returns_its_output() -> None:
    """Its steps are in the same trace, under the calling node."""
    harness = _harness()
    row = await harness.run(_shop(), webhook=_body(sku="A1"))
    assert (row.status, row.output) == ("succeeded", {"total": 12.5, "found": "A1"})
    assert path(row) == ["start", "price", "price/start", "price/ask", "price/end", "end"]
    assert harness.outbound.calls[0].json == {"sku": "A1"}
    called = step(row, "price")
    assert (called.status, called.handle, called.output) == ("succeeded", "out", {"found": "A1"})


async def test_the_input_is_the_body_of_the_subflow() -> None:
    echo = chain(node("end", "end", output={"all": "{{ webhook.body }}"}))
    harness = _harness(echo=echo)
    row = await harness.run(
        chain(
            node("call", "subflow", flowId="echo", input={"a": [1, "{{ webhook.body.b }}"]}),
            node("end", "end", output="{{ nodes.call.output.all }}"),
        ),
        webhook=_body(b=2),
    )
    assert row.output == {"a": [1, 2]}


async def test_variables_and_outputs_of_the_two_flows_are_separate() -> None:
    """Each flow has its own variable of the same name. Variables of the conversation are shared."""
    own = [{"name": "x", "default": "own"}, {"name": "shared", "scope": "conversation"}]
    inner = chain(
        node("set", "set-variable", assignments=[{"variable": "x", "value": "in"}, {"variable": "shared", "value": 5}]),
        variables=own,
    )
    harness = _harness(inner=inner)
    outer = chain(
        node("set", "set-variable", assignments=[{"variable": "x", "value": "out"}]),
        node("call", "subflow", flowId="inner"),
        node(
            "end", "end", output={"x": "{{ vars.x }}", "shared": "{{ vars.shared }}", "set": "{{ nodes.set.output }}"}
        ),
        variables=own,
    )
    row = await harness.run(outer)
    assert row.output == {"x": "out", "shared": 5, "set": {"x": "out"}}


async def test_a_subflow_that_waits_continues() -> None:
    wait = chain(node("wait", "delay", ms=60_000), node("end", "end", output="{{ vars.sku }}"), variables=PRICE)
    harness = _harness(find=wait)
    row, compiled = harness.rows.add(webhook=_body(sku="A1")), compiled_flow(_shop(output={"total": "{{ output }}"}))
    assert await harness.run_once(row, compiled) == "waiting-timer"
    assert [(step(row, name).status) for name in ("price", "price/wait")] == ["waiting", "waiting"]
    await harness.finish(row, compiled)
    assert row.status == "failed"  # The subflow's output is a text, so it has no `found`.
    assert row.error is not None
    assert "found" in row.error.message
    assert step(row, "price").status == "succeeded"


async def test_the_version_is_the_one_published_when_the_execution_started() -> None:
    """This holds also if another version is published while the execution waits. A version that the node names is
    used."""
    old, new = chain(node("end", "end", output="old")), chain(node("end", "end", output="new"))
    harness = _harness(say=old)
    outer = chain(
        node("wait", "delay", ms=1000),
        node("call", "subflow", flowId="say"),
        node("end", "end", output="{{ nodes.call.output }}"),
    )
    row, compiled = harness.rows.add(), compiled_flow(outer)
    await harness.run_once(row, compiled)
    kept = harness.flows.compiled["say"]
    harness.flows.publish("say", new, version=2)
    published = harness.flows.compiled["say"]

    async def get(flow_id: str, version: int) -> Any:
        return {1: kept, 2: published}[version]

    harness.flows.get = get  # type: ignore[method-assign]
    assert (await harness.finish(row, compiled)).output == "old"
    named = chain(
        node("call", "subflow", flowId="say", version=2), node("end", "end", output="{{ nodes.call.output }}")
    )
    assert (await harness.run(named)).output == "new"


@pytest.mark.parametrize(
    ("inner", "kind", "message"),
    [
        (chain(node("bad", "api", url="https://shop.example/")), "http-status", "in price/bad: "),
        (chain(node("end", "end", status="failed")), "ended", "in price/end: the flow ended as failed"),
        (None, "subflow", "flow find was not published when this execution started"),
    ],
)
@pytest.mark.parametrize("on_error", ["fail", "continue", "branch"])
async def test_the_failure_of_a_subflow_fails_the_calling_node(
    inner: dict[str, Any] | None, kind: str, message: str, on_error: str
) -> None:
    harness = _harness(**{"find": inner} if inner else {})
    if inner is None:
        del harness.flows.compiled["find"]
    harness.outbound.respond = lambda _: Response(status=404)
    outer = flow(
        node("price", "subflow", flowId="find", onError=on_error),
        node("end", "end", output="{{ nodes.price.error.kind }}"),
        edges="start>price price.out>end" + (" price.error>end" if on_error == "branch" else ""),
    )
    row = await harness.run(outer)
    assert step(row, "price").status == "failed"
    if on_error == "fail":
        assert row.error is not None
        assert (row.status, row.error.kind) == ("failed", kind)
    else:
        assert (row.status, row.output) == ("succeeded", kind)
        failed = step(row, "price")
        assert failed.error is not None
        assert failed.error.message.startswith(message)
        assert failed.handle == ("out" if on_error == "continue" else "error")


async def test_a_subflow_is_retried_as_a_whole_under_new_keys() -> None:
    harness = _harness()
    answers = [Response(status=503), Response(body=b'{"price": 3}')]
    harness.outbound.respond = lambda _: answers.pop(0)
    row = await harness.run(_shop(retry={"maxAttempts": 2, "delayMs": 10}), webhook=_body(sku="A1"))
    assert row.output == {"total": 3, "found": "A1"}
    assert step(row, "price").attempt == 2
    assert len({call.headers["Idempotency-Key"] for call in harness.outbound.calls}) == 2


async def test_a_failed_execution_is_replayed_from_the_node_in_its_subflow() -> None:
    """The finished steps of the subflow are not repeated."""
    harness = _harness()
    two = chain(
        node("one", "api", url="https://shop.example/1"),
        node("two", "api", url="https://shop.example/2"),
        node("end", "end", output={"found": 1}),
    )
    harness.flows.publish("find", two)
    harness.outbound.respond = lambda call: Response(status=400 if call.url.endswith("2") else 200)
    failed = await harness.run(_shop(output={}), webhook=_body(sku="A1"))
    assert failed.status == "failed"
    assert [step(failed, name).status for name in ("price", "price/two")] == ["failed", "failed"]
    harness.outbound.respond = lambda _: Response()
    again = harness.rows.add(webhook=_body(sku="A1"))
    again.start_state = failed.state
    await harness.finish(again, compiled_flow(_shop(output={})))
    assert (again.status, path(again)) == ("succeeded", ["price", "price/two", "price/end", "end"])
    assert [call.url[-1] for call in harness.outbound.calls] == ["1", "2", "2"]


@pytest.mark.parametrize("ended_by", ["cancel", "timeout"])
async def test_the_end_of_an_execution_ends_its_subflows(ended_by: str) -> None:
    harness = _harness(find=chain(node("wait", "delay", ms=60_000)))
    row, compiled = harness.rows.add(webhook=_body(sku="x")), compiled_flow(_shop() | {"settings": {"timeoutMs": 1000}})
    await harness.run_once(row, compiled)
    if ended_by == "cancel":
        await harness.executions.request_cancel(row.id)
    else:
        harness.clock.advance(2)
    await harness.run_once(row, compiled)
    assert row.status == ("cancelled" if ended_by == "cancel" else "timed-out")
    assert [step(row, name).status for name in ("price", "price/wait")] == ["cancelled", "cancelled"]


async def test_subflows_are_at_most_eight_deep() -> None:
    """A flow that runs itself fails. The error names the depth."""
    harness = _harness()
    endless = chain(node("again", "subflow", flowId="endless"))
    harness.flows.publish("endless", endless)
    row = await harness.run(endless)
    assert row.error is not None
    assert (row.error.kind, row.error.message) == ("subflow", "subflows are more than 8 deep")
    assert row.error.node_id == "/".join(["again"] * 9)


async def test_an_end_in_a_loop_of_a_subflow_ends_only_the_subflow() -> None:
    found = flow(
        node("each", "loop", items="{{ vars.sku | split: '' }}"),
        node("hit", "condition", rules=[{"variable": "{{ loop.item }}", "operator": "equals", "value": "x"}]),
        node("end", "end", output={"found": "{{ loop.index }}"}),
        edges="start>each each.loop>hit hit.true>end",
        variables=PRICE,
    )
    harness = _harness(find=found)
    row = await harness.run(_shop(output={}), webhook=_body(sku="abxcd"))
    assert row.output == {"total": None, "found": 2}


async def test_a_secret_of_the_calling_flow_stays_hidden_in_the_subflow() -> None:
    harness = _harness(
        find=chain(node("wait", "delay", ms=1), node("end", "end", output="{{ vars.sku }}"), variables=PRICE)
    )
    outer = chain(
        node("set", "set-variable", assignments=[{"variable": "pin", "value": "{{ webhook.body.sku }}"}]),
        node("price", "subflow", flowId="find", input={"sku": "{{ vars.pin }}"}),
        variables=[{"name": "pin", "secret": True}],
    )
    row = await harness.run(outer, webhook=_body(sku="hunter22"))
    assert row.status == "succeeded"
    assert "hunter22" not in str([row.steps[seq] for seq in row.steps if seq > 2])


async def test_an_input_that_does_not_fit_its_variable_fails_the_calling_node() -> None:
    harness = _harness()
    row = await harness.run(_shop(input={"price": "dear"}), webhook=_body(sku="x"))
    assert row.error is not None
    assert 'variable price: expected a number, found "dear"' in row.error.message
    assert path(row) == ["start", "price"]


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        ({}, "flowId", "required"),
        ({"flowId": ""}, "flowId", "at least 1 character"),
        ({"flowId": "x", "version": 0}, "version", "at least 1"),
        ({"flowId": "x", "input": []}, "input", "object"),
        ({"flowId": "x", "input": {"a": "{{ vars.no }}"}}, "input.a", "unknown variable 'no'"),
        ({"flowId": "x", "output": {"no": "1"}}, "output.no", "unknown variable 'no'"),
        ({"flowId": "x", "output": {"total": "{{ vars."}}, "output.total", "invalid template"),
    ],
)
def test_publishing_reports_the_errors_of_a_subflow(data: dict[str, Any], field: str, message: str) -> None:
    problems = check(chain(node("call", "subflow", **data), variables=[{"name": "total"}]))[1]
    found = [(one.node_id, one.field, one.message) for one in problems]
    assert any((one[0], one[1]) == ("call", field) and message in one[2] for one in found), found


async def test_an_input_that_does_not_fit_leaves_the_calling_flow_as_it_was() -> None:
    """The node's error handle leads on in the calling flow, with the variables of that flow."""
    harness = _harness()
    calling = flow(
        node("total", "set-variable", assignments=[{"variable": "total", "value": 1}]),
        node("price", "subflow", flowId="find", input={"price": "much"}, onError="branch"),
        node("end", "end", output={"total": "{{ vars.total }}", "kind": "{{ nodes.price.error.kind }}"}),
        edges="start>total total>price price.error>end",
        variables=[{"name": "total"}],
    )
    row = await harness.run(calling)
    assert (row.status, row.output) == ("succeeded", {"total": 1, "kind": "subflow"})
    assert path(row) == ["start", "total", "price", "end"]
    assert harness.outbound.calls == []
