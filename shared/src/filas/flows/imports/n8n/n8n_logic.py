"""n8n's logic: IF, Filter, Switch, Edit Fields, Wait, loops, other workflows, and what needs no node."""

import re
from typing import Any, Final

from filas.flows import value_limits
from filas.flows.imports.foreign_fields import mapping, number, objects, text
from filas.flows.imports.n8n.n8n_conditions import rule_of, test_of
from filas.flows.imports.n8n.n8n_parts import Convert, N8nCall, N8nPart, json_of
from filas.flows.imports.n8n.n8n_scope import NodeData, Step
from filas.flows.imports.template_text import slug

_UNITS: Final = {"seconds": 1000, "minutes": 60_000, "hours": 3_600_000, "days": 86_400_000}
_MAX_CASES: Final = 100


def condition(call: N8nCall) -> N8nPart:
    test = test_of(call.parameters.get("conditions"), call.expressions)
    if call.parameters.get("combineOperation") == "any" or call.parameters.get("combineConditions") == "OR":
        test["logic"] = "or"
    call.scope.data[call.node.name] = NodeData("passes")
    return call.add("condition", test, "true", "false")


def switch(call: N8nCall) -> N8nPart | None:
    """Each rule is a case, in the order of the rules."""
    call.scope.data[call.node.name] = NodeData("passes")
    listed = objects(call.node.part("rules").get("values"))
    if listed:
        cases = [test_of(rule.get("conditions"), call.expressions) for rule in listed[:_MAX_CASES]]
        names = [text(rule.get("outputKey")) for rule in listed[:_MAX_CASES]]
        outputs = list(range(len(cases)))
        fallback = call.node.part("options").get("fallbackOutput")
        extra = len(cases) if fallback == "extra" else number(fallback)
    elif call.parameters.get("mode") == "expression":
        count = min(int(number(call.parameters.get("numberOutputs")) or 4), _MAX_CASES)
        written = call.parameters.get("output")
        outputs, extra, names = list(range(max(count, 1))), None, []
        cases = [{"rules": [rule_of(written, "equal", index, call.expressions)]} for index in outputs]
    else:
        rules = objects(call.node.part("rules").get("rules"))[:_MAX_CASES]
        value = call.parameters.get("value1")
        cases, names = [], [text(rule.get("outputKey")) for rule in rules]
        for rule in rules:
            operation = text(rule.get("operation")) or "equal"
            cases.append({"rules": [rule_of(value, operation, rule.get("value2"), call.expressions)]})
        outputs = [int(number(rule.get("output")) or 0) for rule in rules]
        extra = number(call.parameters.get("fallbackOutput"))
    if not cases:
        call.report.add("empty")
        return None
    ids = _case_ids(names, len(cases))
    part = call.add("switch", {"cases": [{"id": name, **case} for name, case in zip(ids, cases, strict=True)]})
    part.exits = [[] for _ in range(min(max([*outputs, int(extra or 0)]) + 1, 200))]
    for name, output in zip(ids, outputs, strict=True):
        if 0 <= output < len(part.exits):
            part.exits[output].append(name)
    if extra is not None and 0 <= int(extra) < len(part.exits):
        part.exits[int(extra)].append("default")
    return part


def _case_ids(names: list[str], count: int) -> list[str]:
    found: list[str] = []
    for index in range(count):
        wanted = slug(names[index]) if index < len(names) else ""
        if not wanted or wanted in found or wanted == "default":
            wanted = f"case-{index + 1}"
        found.append(wanted if wanted not in found else f"{wanted}-{index + 1}")
    return found


def edit_fields(call: N8nCall) -> N8nPart | None:
    """Each field becomes a variable, and `$json` behind the node means it."""
    parameters = call.parameters
    assigned = _assigned(call)
    if not assigned:
        call.report.add("empty")
        return None
    keeps = bool(parameters.get("includeOtherFields"))
    if call.node.version < 3:
        keeps = not parameters.get("keepOnlySet")
    elif call.node.version < 3.3 and "include" in parameters:
        keeps = parameters.get("include") != "none"
    fields: dict[tuple[Step, ...], str] = {}
    assignments = []
    for name, value in assigned[:100]:
        path: tuple[Step, ...] = tuple(part for part in name.split(".") if part)
        if path and path not in fields:
            fields[path] = call.scope.builder.declare(name)
        if path:
            assignments.append({"variable": fields[path], "value": value})
    call.scope.data[call.node.name] = NodeData("passes" if keeps else "unknown", fields=fields)
    return call.add("set-variable", {"assignments": assignments})


def _assigned(call: N8nCall) -> list[tuple[str, Any]]:
    parameters, found = call.parameters, list[tuple[str, Any]]()
    for one in objects(call.node.part("assignments").get("assignments")):
        found.append((text(one.get("name")), _typed(one.get("value"), text(one.get("type")), call)))
    for one in objects(call.node.part("fields").get("values")):
        kind = text(one.get("type")) or "stringValue"
        found.append((text(one.get("name")), _typed(one.get(kind), kind.removesuffix("Value"), call)))
    for kind, listed in call.node.part("values").items():
        for one in objects(listed):
            found.append((text(one.get("name")), _typed(one.get("value"), kind, call)))
    written = text(parameters.get("jsonOutput"))
    if not found and written:
        found += mapping(json_of(call, written)).items()
        if not found:
            call.report.add("code-not-carried", code=written)
            found.append(("json", None))
    return [(name, value) for name, value in found if name]


def _typed(value: object, kind: str, call: N8nCall) -> Any:
    if kind == "number" and (found := number(value)) is not None:
        return found
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    return call.expressions.value(value)


def wait(call: N8nCall) -> N8nPart:
    parameters, resume = call.parameters, text(call.parameters.get("resume"))
    call.scope.data[call.node.name] = NodeData("passes")
    if resume in ("webhook", "form"):
        call.scope.data[call.node.name] = NodeData("root", root=f"nodes.{call.node_id}.output")
        call.report.add("waits-for-call", node=call.node_id)
        return call.add("webhook", {"mode": "wait"})
    if resume == "specificTime" and text(parameters.get("dateTime")):
        until = call.template(parameters["dateTime"])
        return call.add("delay", {"until": until})
    unit = text(parameters.get("unit")) or ("hours" if call.node.version < 1.1 else "seconds")
    amount = number(parameters.get("amount"))
    default = 1 if call.node.version < 1.1 else 5
    ms = round((default if amount is None else max(amount, 0)) * _UNITS.get(unit, 1000))
    if amount is None and "amount" in parameters:
        call.report.add("code-not-carried", code=text(parameters["amount"]))
    if ms > value_limits.DELAY_MAX_MS:
        ms = value_limits.DELAY_MAX_MS
        call.report.add("wait-cut", limit="30 days")
    call.scope.builder.allow_wait(ms)
    return call.add("delay", {"ms": ms})


def loop(call: N8nCall) -> N8nPart:
    """The items are those of the node before. Its output for each item is the second one since version 3."""
    index = 1 if call.node.version >= 3 else 0
    items = call.scope.before(call.node.name, (), call.report, "$json")
    call.scope.loop_names[call.node.name] = (index, "item")
    size = number(call.parameters.get("batchSize"))
    if size is not None and size > 1:
        call.report.add("batch-of-one")
    handles = ("done", "loop") if index else ("loop", "done")
    return call.add("loop", {"items": f"{{{{ {items} }}}}"}, *handles)


def split_out(call: N8nCall) -> N8nPart:
    """A list of a field: the loop behind it takes the items from there."""
    path = [part for part in re.split(r"[.\[\]\"']+", text(call.parameters.get("fieldToSplitOut"))) if part]
    root = call.scope.before(call.node.name, path, call.report, "$json")
    call.scope.data[call.node.name] = NodeData("root", root=root)
    followers = [name for output in call.scope.workflow.outputs.get(call.node.name, []) for name in output]
    nodes = call.scope.workflow.nodes
    call.report.add("no-node-needed" if all(nodes[one].type == "splitInBatches" for one in followers) else "runs-once")
    return N8nPart()


def run_workflow(call: N8nCall) -> N8nPart | None:
    wanted = call.parameters.get("workflowId")
    flow = slug(text(mapping(wanted).get("cachedResultName")) or text(mapping(wanted).get("value")) or text(wanted))
    if not flow:
        call.report.add("unsupported")
        return None
    inputs = call.expressions.value(call.node.part("workflowInputs", "value"))
    call.report.add("needs-flow", flow=flow)
    call.scope.data[call.node.name] = NodeData("root", root=f"nodes.{call.node_id}.output")
    data, handles = call.fallible({"flowId": flow, **({"input": inputs} if inputs else {})})
    return call.add("subflow", data, *handles)


def stop(call: N8nCall) -> N8nPart:
    message = call.template(call.parameters.get("errorMessage") or call.parameters.get("errorObject"))
    call.report.add("error-stops")
    part = call.add("end", {"status": "failed", "output": message})
    part.exits = []
    return part


LOGIC: Final[dict[str, Convert]] = {
    "if": condition,
    "filter": condition,
    "switch": switch,
    "set": edit_fields,
    "wait": wait,
    "splitInBatches": loop,
    "splitOut": split_out,
    "itemLists": split_out,
    "executeWorkflow": run_workflow,
    "stopAndError": stop,
    "noOp": lambda call: call.passes("no-node-needed"),
    "merge": lambda call: call.passes("runs-once-per-path"),
}
