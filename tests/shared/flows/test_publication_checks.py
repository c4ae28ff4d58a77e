"""The checks at publication that examine the whole graph: each finding has its node, field, severity and code."""

from datetime import UTC, datetime
from typing import Any

import pytest

from filas.flows.problems import FlowProblem
from filas.flows.publishing_checks import check
from tests.flow_runner.harness import chain, flow, node

NOW = datetime(2026, 11, 27, 8, 10, tzinfo=UTC)
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
N = [{"name": "n", "default": 0}]


def findings(definition: dict[str, Any]) -> list[FlowProblem]:
    checked, found = check(definition, NOW)
    assert (checked is None) == any(problem.severity == "error" for problem in found)
    return found


def brief(definition: dict[str, Any]) -> list[tuple[str | None, str, str, str]]:
    return [(one.node_id, one.field, one.code, one.severity) for one in findings(definition)]


def text(node_id: str, words: str = "x") -> dict[str, Any]:
    return node(node_id, "message", text=words)


def call(node_id: str, **data: Any) -> dict[str, Any]:
    return node(node_id, "api", **({"url": "https://a.example"} | data))


USE = "{{ nodes.crm.output.body }}"


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        pytest.param(
            flow(call("crm", onError="branch"), text("hi"), edges="start>crm crm.out>hi"),
            [("crm", "onError", "error-edge-missing", "error")],
            id="an api node",
        ),
        pytest.param(
            flow(node("m", "message", text="x", onError="branch"), edges="start>m"),
            [("m", "onError", "error-edge-missing", "error")],
            id="a message without any edge",
        ),
        pytest.param(
            flow(node("n", "notify", channel="c", to="a@b.example", text="x", onError="branch"), edges="start>n"),
            [("n", "onError", "error-edge-missing", "error")],
            id="a notification",
        ),
        pytest.param(
            flow(node("s", "subflow", flowId="f", onError="branch"), edges="start>s"),
            [("s", "onError", "error-edge-missing", "error")],
            id="a subflow",
        ),
        pytest.param(
            flow(node("w", "webhook", mode="send", url="https://a.example", onError="branch"), edges="start>w"),
            [("w", "onError", "error-edge-missing", "error")],
            id="an outgoing webhook",
        ),
        pytest.param(
            flow(call("crm", onError="branch"), text("no"), edges="start>crm crm.error>no"), [], id="with its edge"
        ),
        pytest.param(flow(call("crm", onError="continue"), edges="start>crm"), [], id="not a branch"),
    ],
)
def test_a_branch_needs_an_edge(definition: dict[str, Any], expected: list[Any]) -> None:
    assert brief(definition) == expected


NEVER = [("hi", "text", "used-before-run", "error")]
MAYBE = [("hi", "text", "may-not-have-run", "warning")]
RULE = {"variable": "{{ webhook.body.x }}", "operator": "is-set"}
IF = node("if", "condition", rules=[RULE])
ASK = node("ask", "input", prompt="?", timeoutMs=1000)


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        pytest.param(chain(text("hi", USE), call("crm")), NEVER, id="it comes later"),
        pytest.param(flow(IF, text("hi", USE), call("crm"), edges="start>if if.true>hi if.false>crm"), NEVER,
                     id="it is on the other branch"),
        pytest.param(flow(text("hi", USE), call("crm"), edges="start>hi start>crm"), NEVER, id="its edge comes second"),
        pytest.param(chain(text("hi", "{{ nodes.hi.output }}")), NEVER, id="the node itself"),
        pytest.param(chain(text("hi", "{{ nodes.crm.output | default: 'x' }}"), call("crm")), NEVER,
                     id="a default does not help"),
        pytest.param(
            chain(node("hi", "set-variable", assignments=[{"variable": "n", "value": {"a": [USE]}}]), call("crm"),
                  variables=N),
            [("hi", "assignments[0].value.a[0]", "used-before-run", "error")], id="inside JSON"),
        pytest.param(
            flow(node("hi", "condition", expression="nodes.crm.output.body == 1"), call("crm"),
                 edges="start>hi hi.true>crm"),
            [("hi", "expression", "used-before-run", "error")], id="in CEL"),
        pytest.param(
            flow(node("hi", "condition", rules=[{"variable": USE, "operator": "is-set"}]), call("crm"),
                 edges="start>hi hi.true>crm"),
            [("hi", "rules[0].variable", "used-before-run", "error")], id="in a rule"),
        pytest.param(
            flow(node("l", "loop", items="{{ 'a' | split: ',' }}"), text("hi", USE), call("crm"),
                 edges="start>l l.done>crm l.loop>hi"),
            NEVER, id="after the loop"),
        pytest.param(flow(IF, call("crm"), text("hi", USE), edges="start>if if.true>crm if.false>hi crm>hi"), MAYBE,
                     id="one of two branches"),
        pytest.param(
            flow(node("l", "loop", items="{{ 'a' | split: ',' }}"), call("crm"), text("hi", USE),
                 edges="start>l l.loop>crm l.done>hi"),
            MAYBE, id="a loop may be empty"),
        pytest.param(flow(IF, call("crm"), text("hi", USE), edges="start>if start>hi if.true>crm"), MAYBE,
                     id="an earlier edge that leads there only in one case"),
        pytest.param(flow(ASK, call("crm"), text("hi", USE),
                      edges="start>ask ask.out>crm crm>hi ask.timeout>hi"), MAYBE,
                     id="past it after a timeout"),
        pytest.param(
            flow(IF, call("crm"), text("hi", "{{ nodes.crm.output.body | default: '-' }}"),
                 edges="start>if if.true>crm if.false>hi crm>hi"),
            [], id="with a default"),
        pytest.param(
            flow(IF, call("crm"), node("hi", "condition", rules=[{"variable": USE, "operator": "is-set"}]),
                 edges="start>if if.true>crm if.false>hi crm>hi"),
            [], id="a missing operand of a rule is null"),
        pytest.param(chain(call("crm"), text("hi", USE)), [], id="it comes before"),
        pytest.param(chain(text("hi", "{{ nodes.start.output }}")), [], id="the trigger"),
        pytest.param(flow(call("crm"), text("hi", USE), edges="start>crm start>hi"), [], id="its edge comes first"),
        pytest.param(flow(IF, call("crm"), text("hi", USE), edges="start>if start>hi if.true>crm if.false>crm"), [],
                     id="an earlier edge that leads there in each case"),
        pytest.param(
            flow(call("crm", onError="branch"), text("hi", "{{ nodes.crm.error.message }}"),
                 edges="start>crm crm.error>hi"),
            [], id="its error"),
        pytest.param(
            flow(ASK, call("crm"), text("again"), text("hi", USE),
                 edges="start>ask ask.out>crm crm>hi ask.invalid>again again>ask ask.timeout>crm"),
            [], id="a cycle that cannot pass it"),
    ],
)  # fmt: skip
def test_a_node_is_used_after_it_has_run(definition: dict[str, Any], expected: list[Any]) -> None:
    assert brief(definition) == expected


def test_both_nodes_of_a_wrong_order_are_named() -> None:
    (found,) = findings(chain(text("hi", USE), call("crm")))
    assert found.message == "uses node crm, which cannot have run before: no path leads from crm to hi"


def test_an_earlier_item_of_a_loop_may_have_run_what_follows() -> None:
    """The second item sees what the first one has run; for the first item it is missing."""
    definition = flow(
        node("l", "loop", items="{{ 'a,b' | split: ',' }}"), text("hi", USE), call("crm"),
        edges="start>l l.loop>hi hi>crm",
    )  # fmt: skip
    assert brief(definition) == MAYBE


@pytest.mark.parametrize(
    ("words", "severity"),
    [
        ("Oi {vars.n}", "error"),
        ("{ vars.n }", "error"),
        ("${vars.n}", "error"),
        ("{vars.n}}", "error"),
        ("{ vars.n }}", "error"),
        ("{vars['n']}", "error"),
        ("{vars.n | upcase}", "error"),
        ("{webhook.body.name}", "error"),
        ("{nodes.crm.output.body}", "error"),
        ("{conversation.contact}", "error"),
        ("{secrets.k}", "error"),
        ("{{ vars.n }} e {vars.n}", "error"),
        ("{n}", "warning"),
        ("{ n }", "warning"),
        ("{{ vars.n }}", None),
        ("{{vars.n}}{{vars.n}}", None),
        ("{nome}", None),
        ("{vars}", None),
        ("{x.y}", None),
        ('{"vars.n": 1}', None),
        ("{% if vars.n %}{{ vars.n }}{% endif %}", None),
        ("{% raw %}{vars.n}{% endraw %}", None),
        ("{{ '{vars.n}' | append: vars.n }}", None),
    ],
)
def test_single_braces_are_reported(words: str, severity: str | None) -> None:
    expected = [] if severity is None else [("hi", "text", "single-braces", severity)]
    assert brief(chain(text("hi", words), variables=N)) == expected


def test_single_braces_are_found_in_every_field_with_templates() -> None:
    """The message shows what to write instead."""
    body = call("crm", url="https://a.example/{vars.n}", body={"a": ["{vars.n}"]}, headers={"X": "{vars.n}"})
    found = findings(chain(body, variables=N))
    assert {one.field for one in found} == {"url", "body.a[0]", "headers.X"}
    assert {one.message for one in found} == {"`{vars.n}` would be sent as it is: write {{ vars.n }}"}


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        pytest.param(chain(node("d", "delay", ms=10 * DAY_MS)), [("d", "ms", "longer-than-timeout", "error")],
                     id="ten days with the default of seven"),
        pytest.param(chain(node("d", "delay", every={"days": 10})), [("d", "every", "longer-than-timeout", "error")],
                     id="ten days as an interval"),
        pytest.param(chain(node("d", "delay", ms=2000), settings={"timeoutMs": 1000}),
                     [("d", "ms", "longer-than-timeout", "error")], id="two seconds of one"),
        pytest.param(chain(node("d", "delay", ms=7 * DAY_MS)), [("d", "ms", "longer-than-timeout", "warning")],
                     id="exactly as long"),
        pytest.param(chain(node("d", "delay", ms=10 * DAY_MS, endOnReply=True)),
                     [("d", "ms", "longer-than-timeout", "error")], id="a reply may end it"),
        pytest.param(flow(node("i", "input", prompt="?", timeoutMs=8 * DAY_MS), edges="start>i"),
                     [("i", "timeoutMs", "longer-than-timeout", "error")], id="an input"),
        pytest.param(flow(node("w", "webhook", mode="wait", timeoutMs=8 * DAY_MS), edges="start>w"),
                     [("w", "timeoutMs", "longer-than-timeout", "error")], id="the wait for a call"),
        pytest.param(chain(call("crm", timeoutMs=9000), settings={"timeoutMs": 5000}),
                     [("crm", "timeoutMs", "longer-than-timeout", "error")], id="a call"),
        pytest.param(chain(node("i", "input", prompt="?"), settings={"conversation": {"idleMs": 8 * DAY_MS}}),
                     [("i", "timeoutMs", "longer-than-timeout", "error")], id="an input that waits for idleMs"),
        pytest.param(chain(node("i", "input", prompt="?"), settings={"timeoutMs": HOUR_MS}), [],
                     id="the default idleMs"),
        pytest.param(chain(node("m", "message", text="a", **{"await": "delivered", "awaitMs": 8 * DAY_MS})),
                     [("m", "awaitMs", "longer-than-timeout", "error")], id="the wait for a delivery"),
        pytest.param(chain(node("m", "message", text="a", **{"await": "recorded", "awaitMs": 8 * DAY_MS})), [],
                     id="no wait for a delivery"),
        pytest.param(chain(node("a", "api", url="https://x.example/",
                                retry={"maxAttempts": 3, "delayMs": 2 * HOUR_MS, "maxDelayMs": 2 * HOUR_MS}),
                           settings={"timeoutMs": HOUR_MS}),
                     [("a", "retry.delayMs", "longer-than-timeout", "error")], id="the wait before another attempt"),
        pytest.param(chain(node("a", "api", url="https://x.example/", retry={"delayMs": 2 * HOUR_MS}),
                           settings={"timeoutMs": HOUR_MS}), [], id="a single attempt"),
        pytest.param(chain(node("d", "delay", cron="0 9 1 * *")), [("d", "cron", "longer-than-timeout", "warning")],
                     id="a month between two ticks"),
        pytest.param(chain(node("a", "delay", ms=4 * DAY_MS), node("b", "delay", ms=4 * DAY_MS), text("hi")),
                     [("b", "", "delays-longer-than-timeout", "warning")], id="two delays together"),
        pytest.param(chain(node("a", "delay", ms=4 * DAY_MS), node("b", "delay", ms=4 * DAY_MS, endOnReply=True)), [],
                     id="two delays of which a reply may end one"),
        pytest.param(chain(node("d", "delay", ms=10 * DAY_MS), settings={"timeoutMs": 11 * DAY_MS}), [],
                     id="a longer timeout"),
        pytest.param(chain(call("crm"), settings={"timeoutMs": 5000}), [], id="a default"),
    ],
)  # fmt: skip
def test_a_wait_fits_into_the_timeout(definition: dict[str, Any], expected: list[Any]) -> None:
    assert brief(definition) == expected


def test_the_error_names_both_durations() -> None:
    (found,) = findings(chain(node("d", "delay", ms=10 * DAY_MS)))
    assert "864000000 ms (10 d)" in found.message
    assert "settings.timeoutMs, 604800000 ms (7 d)" in found.message


@pytest.mark.parametrize(
    ("cron", "severity", "words"),
    [
        ("*/90 * * * *", "error", "`*/90` is not every 90 minutes"),
        ("*/90 * * * *", "error", "2026-11-27 09:00, 2026-11-27 10:00, 2026-11-27 11:00, 2026-11-27 12:00, 2026-11-27"),
        ("*/90 * * * *", "error", '"every": {"minutes": 90}'),
        ("0 */13 * * *", "error", "`*/13` is not every 13 hours"),
        ("0 */13 * * *", "error", "2026-11-27 13:00, 2026-11-28 00:00, 2026-11-28 13:00"),
        ("0 */36 * * *", "error", '"every": {"hours": 36}'),
        ("*/7 * * * *", "error", "because in each hour the count begins again"),
        ("*/59 * * * *", "error", "59 minutes"),
        ("0 */5 * * *", "error", "5 hours"),
        ("*/60 * * * *", "error", "60 minutes"),
        ("0/45 * * * *", "error", "45 minutes"),
        ("0-59/25 * * * *", "error", "25 minutes"),
        ("9-17/10 * * * *", "error", "10 minutes"),
        ("*/45 * * * * *", "error", "45 seconds"),
        ("5,*/90 * * * *", "error", "90 minutes"),
        ("0 9 */2 * *", "warning", "2 days of the month"),
        ("0 9 */45 * *", "warning", "it has 31 of them"),
        ("0 9 1 */5 *", "warning", "5 months"),
        ("0 9 * * */2", "warning", "2 days of the week"),
        ("* 9 * * *", "warning", "every minute of the hour"),
        ("* */2 * * *", "warning", "every minute of the hour"),
        ("0 * 1 * *", "warning", "every hour of the day"),
        ("0 9 13 * FRI", "warning", "one of them is sufficient"),
        ("0 9 31 * *", "warning", "months without a day 31"),
        ("0 9 29 FEB *", "warning", "months without a day 29"),
    ],
)
def test_a_cron_expression_that_means_something_else_is_reported(cron: str, severity: str, words: str) -> None:
    long = {"timeoutMs": 366 * DAY_MS}
    found = [one for one in findings(chain(node("d", "delay", cron=cron), settings=long)) if one.code == "cron-meaning"]
    assert [(one.field, one.severity) for one in found] == [("cron", severity)]
    assert words in found[0].message


@pytest.mark.parametrize(
    "cron",
    ["*/15 * * * *", "*/30 9-17 * * MON-FRI", "0 */6 * * *", "0 9 * * *", "* * * * *", "* 9-17 * * *", "0 9-17/3 * * *",
     "0,20,45 * * * *", "0/20 * * * *", "0 9 1 * *", "0 9 L * *", "*/10 * * * * *", "0 0 1 */3 *", "0 9 * * MON-FRI/2",
     "0 9 31 JAN *", "0 9 * * 1#1"],
)  # fmt: skip
def test_a_regular_cron_expression_is_accepted(cron: str) -> None:
    assert brief(chain(node("d", "delay", cron=cron), settings={"timeoutMs": 366 * DAY_MS})) == []


def test_a_cron_expression_that_never_has_a_tick_is_an_error() -> None:
    assert brief(chain(node("d", "delay", cron="0 9 30 2 *")))[0][3] == "error"


def test_the_ticks_are_those_of_the_time_zone() -> None:
    (found,) = findings(chain(node("d", "delay", cron="0 */13 * * *", timezone="America/Sao_Paulo")))
    assert "the next five ticks are 2026-11-27 13:00, 2026-11-28 00:00" in found.message
    assert found.message.endswith("(America/Sao_Paulo)")


ITEMS = "{{ webhook.body.items }}"
LOOP = [("l", "maxIterations", "loop-exceeds-steps", "warning")]


def loop(body: str, *nodes: dict[str, Any], items: str = ITEMS, **rest: Any) -> dict[str, Any]:
    data = {"items": items} | ({"maxIterations": rest.pop("most")} if "most" in rest else {})
    return flow(node("l", "loop", **data), *nodes, edges=f"start>l {body}", **rest)


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        pytest.param(loop("l.loop>a a>b b>c", text("a"), text("b"), text("c"), most=400), LOOP,
                     id="400 items with three nodes each"),
        pytest.param(loop("l.loop>a a>b b>c", text("a"), text("b"), text("c"), most=249), [], id="249 items fit"),
        pytest.param(loop("l.loop>a a>b b>c", text("a"), text("b"), text("c"), most=250), LOOP, id="250 do not"),
        pytest.param(loop("l.loop>a", text("a")), [], id="an unknown list under default settings"),
        pytest.param(loop("l.loop>a", text("a"), most=1000), LOOP, id="the default is written"),
        pytest.param(loop("l.loop>a", text("a"), settings={"maxSteps": 1000}), LOOP, id="maxSteps is written"),
        pytest.param(loop("l.loop>a", text("a"), settings={"timeoutMs": 1000}), [], id="another setting is written"),
        pytest.param(loop("l.loop>i i.loop>a", node("i", "loop", items=ITEMS), text("a"), most=30), [],
                     id="an unknown list in a loop"),
        pytest.param(loop("l.loop>i i.loop>a", node("i", "loop", items=ITEMS, maxIterations=400), text("a")),
                     [], id="400 items of an inner loop fit into one item of an unknown list"),
        pytest.param(loop("l.loop>i i.loop>a", node("i", "loop", items=ITEMS, maxIterations=600), text("a")),
                     [("i", "maxIterations", "loop-exceeds-steps", "warning")], id="600 items of an inner loop do not"),
        pytest.param(loop("l.loop>a", text("a"), items="{{ '" + "a," * 600 + "' | split: ',' }}"), LOOP,
                     id="a fixed list that is too long"),
        pytest.param(loop("l.loop>a", text("a"), settings={"maxSteps": 2001}), [], id="more steps"),
        pytest.param(loop("l.loop>a", text("a"), items="{{ 'a,b' | split: ',' }}"), [], id="a fixed list"),
        pytest.param(loop("l.loop>a a>l", text("a"), most=500), LOOP, id="an edge back to the loop"),
        pytest.param(loop("l.loop>if if.true>a if.false>b", IF, text("a"), text("b"), most=333), [],
                     id="branches do not add up"),
        pytest.param(loop("l.loop>a l.loop>b", text("a"), text("b"), most=333), [],
                     id="edges of one handle, 333 items"),
        pytest.param(loop("l.loop>a l.loop>b", text("a"), text("b"), most=334), LOOP, id="edges of one handle add up"),
        pytest.param(loop("l.loop>i i.loop>a", node("i", "loop", items=ITEMS, maxIterations=30), text("a"), most=30),
                     LOOP, id="a loop in a loop"),
    ],
)  # fmt: skip
def test_a_loop_fits_into_the_steps(definition: dict[str, Any], expected: list[Any]) -> None:
    """One item takes a step for the loop and one for each node of its body."""
    assert brief(definition) == expected


def test_the_warning_of_a_loop_states_what_would_fit() -> None:
    (found,) = findings(loop("l.loop>a a>b b>c", text("a"), text("b"), text("c"), most=400))
    assert "400 items of up to 4 steps need 1,601 steps" in found.message
    assert "settings.maxSteps is 1,000: it would end after about 249 items" in found.message
