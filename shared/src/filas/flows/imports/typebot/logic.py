"""Typebot's logic: conditions, variables, jumps, waits and the rest."""

import re
from collections.abc import Callable
from typing import Any, Final

from filas.flows import value_limits
from filas.flows.imports.foreign_fields import mapping, number, objects, text
from filas.flows.imports.import_report import BlockReport
from filas.flows.imports.template_text import quoted, slug
from filas.flows.imports.typebot.conditions import test_of
from filas.flows.imports.typebot.response_paths import path_of
from filas.flows.imports.typebot.typebot_document import Block, Target
from filas.flows.imports.typebot.typebot_scope import Part, TypebotScope

_MAX_CASES: Final = 100
_CODE: Final = re.compile(r"[;{}]|=>|===?|&&|\|\||\breturn\b|\bnew\b|\bfunction\b|\.\w+\(|\w\(|\?[^?]*:|\[")
_FIXED: Final = {
    "Now": '{{ "now" | date: "%Y-%m-%dT%H:%M:%S%z" }}',
    "Today": '{{ "now" | date: "%Y-%m-%d" }}',
    "Yesterday": '{{ "now" | date: "%s" | minus: 86400 | date: "%Y-%m-%d" }}',
    "Tomorrow": '{{ "now" | date: "%s" | plus: 86400 | date: "%Y-%m-%d" }}',
    "Random ID": "{{ execution.id }}",
    "Result ID": "{{ execution.id }}",
    "User ID": "{{ conversation.contact }}",
    "Phone number": "{{ conversation.contact }}",
    "Environment name": "{{ conversation.channel }}",
    "Moment of the day": (
        '{% assign hour = "now" | date: "%H" | plus: 0 %}{% if hour < 6 %}night{% elsif hour < 12 %}morning'
        "{% elsif hour < 18 %}afternoon{% elsif hour < 22 %}evening{% else %}night{% endif %}"
    ),
}
_SAME: Final = frozenset({"Now", "Today", "Result ID", "Phone number"})


def condition(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    """One item is a condition, several are a switch. What matches none leaves by the edge of the block."""
    items = block.items[:_MAX_CASES]
    if len(block.items) > _MAX_CASES:
        report.add("choices-cut", count=_MAX_CASES)
    targets = [scope.document.target(item, block.id, text(item.get("id"))) for item in items]
    if not items:
        report.add("empty")
        return Part()
    if len(items) == 1:
        node_id = scope.node(block, report, "condition", test_of(mapping(items[0].get("content")), scope, report))
        return _leaving(node_id, [("true", targets[0])], "false")
    cases = [
        {"id": f"case-{index}", **test_of(mapping(item.get("content")), scope, report)}
        for index, item in enumerate(items, 1)
    ]
    node_id = scope.node(block, report, "switch", {"cases": cases})
    return _leaving(node_id, [(case["id"], target) for case, target in zip(cases, targets, strict=True)], "default")


def _leaving(node_id: str, taken: list[tuple[str, Target | None]], otherwise: str) -> Part:
    exits: list[tuple[str, str, Target | None]] = [
        (node_id, handle, target) for handle, target in taken if target is not None
    ]
    return Part(node_id, [*exits, (node_id, otherwise, None)])


def set_variable(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    variable = scope.variable(block.options.get("variableId"))
    if variable is None:
        report.add("empty")
        return Part()
    assigned = _assignments(variable, block, scope, report)
    data = {"assignments": [{"variable": name, "value": value} for name, value in assigned]}
    return scope.single(block, report, "set-variable", data, f"set-{variable}")


def _assignments(variable: str, block: Block, scope: TypebotScope, report: BlockReport) -> list[tuple[str, Any]]:
    options = block.options
    kind = text(options.get("type")) or "Custom"
    if kind in _FIXED:
        template = _in_zone(_FIXED[kind], text(options.get("timeZone")))
        if kind not in _SAME:
            report.add("approximated", value=kind, template=template)
        return [(variable, template)]
    if kind == "Append value(s)":
        written = scope.template(options.get("item"), report)
        whole = re.fullmatch(r"\{\{ (vars\.\w+) \}\}", written)
        item = whole[1] if whole else quoted(written) if "{{" not in written else None
        if item is not None:
            return [(variable, f"{{{{ vars.{variable} | push: {item} }}}}")]
        helper = scope.builder.declare(f"{variable} item")
        return [(helper, written), (variable, f"{{{{ vars.{variable} | push: vars.{helper} }}}}")]
    if kind in ("Pop", "Shift"):
        saved = scope.variable(options.get("saveItemInVariableId"))
        rest = "reverse | slice: 1, 10000 | reverse" if kind == "Pop" else "slice: 1, 10000"
        one = [(saved, f"{{{{ vars.{variable} | {'last' if kind == 'Pop' else 'first'} }}}}")] if saved else []
        return [*one, (variable, f"{{{{ vars.{variable} | {rest} }}}}")]
    if kind == "Custom":
        return [(variable, _custom(text(options.get("expressionToEvaluate")), options, scope, report))]
    if kind == "Contact name":
        report.add("contact-name-missing")
    elif kind != "Empty":
        report.add("code-not-carried", code=kind)
    return [(variable, None)]


def _in_zone(template: str, zone: str) -> str:
    written = quoted(zone) if re.fullmatch(r"[A-Za-z_]+/[A-Za-z_/]+", zone) else None
    return template if written is None else re.sub(r'(date: "%[Y][^"]*")', rf"\1, {written}", template)


def _custom(code: str, options: dict[str, Any], scope: TypebotScope, report: BlockReport) -> Any:
    """The value of code: an expression, a number or a text with variables. Other code is reported."""
    code = code.strip()
    if not code:
        return None
    if (value := number(code)) is not None:
        return value
    expression = scope.expression(code)
    if expression is not None:
        return f"{{{{ {expression} }}}}"
    without_variables = re.sub(r"\{\{[^{}]*\}\}", "", code)
    if options.get("isCode") or _CODE.search(without_variables):
        report.add("code-not-carried", code=code)
        return None
    return scope.template(code, report)


def jump(block: Block, _scope: TypebotScope, report: BlockReport) -> Part:
    options = block.options
    group = text(options.get("groupId"))
    if not group:
        report.add("empty")
        return Part()
    report.add("no-node-needed")
    return Part(jump=Target(group, text(options.get("blockId")) or None))


def typebot_link(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    """A link to the same typebot is an edge, a link to another one runs its flow."""
    options = block.options
    group, linked = text(options.get("groupId")), text(options.get("typebotId"))
    if linked == "current":
        report.add("no-node-needed")
        return Part(jump=Target(group) if group else scope.document.start)
    if not linked:
        report.add("empty")
        return Part()
    flow = slug(linked, "-", 100) or "linked-typebot"
    report.add("needs-flow", flow=flow)
    return scope.single(block, report, "subflow", {"flowId": flow}, "flow")


def wait(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    written = block.options.get("secondsToWaitFor")
    seconds = number(written)
    if seconds is None:
        found = re.fullmatch(r"\{\{ (vars\.\w+) \}\}", scope.template(written, report).strip())
        if found is None:
            report.add("empty")
            return Part()
        until = f'{{{{ "now" | date: "%s" | plus: {found[1]} }}}}'
        return scope.single(block, report, "delay", {"until": until}, "wait")
    ms = max(round(seconds * 1000), 0)
    if ms > value_limits.DELAY_MAX_MS:
        ms = value_limits.DELAY_MAX_MS
        report.add("wait-cut", limit="30 days")
    scope.builder.allow_wait(ms)
    return scope.single(block, report, "delay", {"ms": ms}, "wait")


def redirect(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    url = scope.template(block.options.get("url"), report).strip()
    if not url:
        report.add("empty")
        return Part()
    report.add("sent-as-link", url=url)
    return scope.single(block, report, "message", {"text": url}, "link")


def ab_test(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    """The id of the execution decides, as if it were drawn."""
    share = number(block.options.get("aPercent"))
    limit = round(min(max(50 if share is None else share, 0), 100) * 255 / 100)
    rule = {
        "variable": "{{ execution.id | sha256 | slice: 0, 2 }}",
        "operator": "less-than",
        "value": f"{limit:02x}",
        "exact": True,
    }
    node_id = scope.node(block, report, "condition", {"rules": [rule]}, word="share")
    report.add("share-by-execution")
    items = {text(item.get("path")): item for item in block.items}
    exits: list[tuple[str, str, Target | None]] = []
    for handle, path in (("true", "a"), ("false", "b")):
        item = items.get(path, {})
        exits.append((node_id, handle, scope.document.target(item, block.id, text(item.get("id"))) if item else None))
    return Part(node_id, exits)


def call_received(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    """Waits for a call of the node's address, and maps its body."""
    node_id = scope.node(block, report, "webhook", {"mode": "wait"}, word="wait-for-call")
    report.add("waits-for-call", node=node_id)
    assignments = []
    for one in objects(block.options.get("responseVariableMapping")):
        variable, path = scope.variable(one.get("variableId")), path_of(text(one.get("bodyPath")))
        if variable is None:
            continue
        if path is None or not re.fullmatch(r"body(\.[A-Za-z_]\w*|\[\d+\])*", path):
            report.add("path-not-carried", path=text(one.get("bodyPath")))
            continue
        assignments.append({"variable": variable, "value": f"{{{{ nodes.{node_id}.output.{path} }}}}"})
    if not assignments:
        return Part(node_id, [(node_id, "out", None)])
    second = scope.node(block, report, "set-variable", {"assignments": assignments[:100]}, word="received", shift=1)
    scope.builder.connect(node_id, "out", second)
    return Part(node_id, [(second, "out", None)])


def returned(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    node_id = scope.node(block, report, "end", {}, word="end")
    return Part(node_id)


LOGIC: Final[dict[str, Callable[[Block, TypebotScope, BlockReport], Part]]] = {
    "Condition": condition,
    "Set variable": set_variable,
    "Jump": jump,
    "Typebot link": typebot_link,
    "Wait": wait,
    "Redirect": redirect,
    "AB test": ab_test,
    "webhook": call_received,
    "Return": returned,
}
