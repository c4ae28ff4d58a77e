"""The checks before publishing: every error and warning of a definition, each with its node and field."""

from collections import Counter
from datetime import UTC, datetime

import msgspec

from filas.contract.comparable_text import comparable
from filas.flows import locales
from filas.flows.checks import channel_limits, whole_graph
from filas.flows.checks.channel_limits import KnownChannels
from filas.flows.definition import flow_graph, loop_bodies
from filas.flows.definition.flow_definition import Draft, DraftNode, Edge, FlowDefinition, FlowHead, Node, read_draft
from filas.flows.definition.variables import convert
from filas.flows.expressions import cel
from filas.flows.problems import AddCoded, Code, FlowProblem, Report, Severity
from filas.flows.templates import template
from filas.flows.templates.single_braces import single_braces
from filas.flows.templates.template_names import TemplateNames


def check(
    raw: object, now: datetime | None = None, channels: KnownChannels | None = None
) -> tuple[FlowDefinition | None, list[FlowProblem]]:
    """Checks a definition. Returns it (None if it has errors) with all errors and warnings. Raises nothing, whatever
    `raw` is. `now` is the present time by default; messages show the ticks of cron expressions after it. `channels` are
    those whose limits are checked."""
    report = Report()
    draft = read_draft(raw, report)
    _check_ids(draft, report)
    _check_head(draft.head, report)
    waits = {each.node.id for each in draft.nodes if each.node.data.awaits_call()}
    names = TemplateNames(variables=_declared(raw), nodes=set(draft.ids), waits=waits)
    inside = loop_bodies.item_names(draft)
    for node in draft.nodes:
        _check_node(node, msgspec.structs.replace(names, loop=inside.get(node.node.id, ())), report)
    _check_edges(draft, report)
    _check_graph(draft, report)
    whole_graph.check_graph(draft, report, now or datetime.now(UTC))
    channel_limits.check_contents(draft, report, channels or KnownChannels())
    return None if report.has_errors else draft.definition(), report.problems


def _declared(raw: object) -> set[str]:
    """The names of all variables, including wrongly declared ones, so that their use is not an error too."""
    variables = raw.get("variables") if isinstance(raw, dict) else None
    items = variables if isinstance(variables, list) else []
    return {item["name"] for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)}


def _check_ids(draft: Draft, report: Report) -> None:
    for node_id, count in Counter(draft.ids).items():
        if count > 1:
            report.add(node_id, "id", f"{count} nodes have this id", "duplicate-id")


def _check_head(head: FlowHead, report: Report) -> None:
    settings = head.settings
    if problem := locales.locale_problem(settings.locale):
        report.add(None, "settings.locale", problem)
    if settings.timezone is not None and (problem := locales.zone_problem(settings.timezone)):
        report.add(None, "settings.timezone", problem)
    for index, text in enumerate(settings.conversation.restart_on):
        if comparable(text) is None:
            report.add(None, f"settings.conversation.restartOn[{index}]", "has no visible character")
    names = Counter(variable.name for variable in head.variables)
    for index, variable in enumerate(head.variables):
        if names[variable.name] > 1:
            report.add(None, f"variables[{index}].name", f"{names[variable.name]} variables are named {variable.name}")
        try:
            convert(variable, variable.default)
        except ValueError as error:
            report.add(None, f"variables[{index}].default", str(error))


def _check_node(draft: DraftNode, names: TemplateNames, report: Report) -> None:
    node_id, data, failed = draft.node.id or None, draft.node.data, draft.reader.has_failed

    def add(field: str, message: str, code: Code = "invalid", severity: Severity = "error") -> None:
        if not failed(field):
            report.add(node_id, field, message, code, severity)

    for field, value in data.templates():
        _check_templates(field, value, names, add)
    for field, text in data.expressions():
        for problem in names.problems(cel.references(text)):
            add(field, problem, "unknown-name")
    for field, variable in data.assigns():
        if variable not in names.variables:
            add(field, f"unknown variable '{variable[:64]}'; declare it under variables", "unknown-name")
    data.check(draft.reader.adds_beside_failures())


def _check_templates(field: str, value: object, names: TemplateNames, add: AddCoded) -> None:
    try:
        for path, text in template.texts(value):
            try:
                parsed = template.parse(text)
                for problem in names.problems(parsed.references):
                    add(field + path, problem, "unknown-name")
                parsed.check_constants()
            except template.TemplateError as error:
                add(field + path, f"invalid template: {error}", "invalid-template")
            else:
                _check_braces(field + path, text, names, add)
    except template.TemplateError as error:
        add(field, str(error), "invalid-template")


def _check_braces(field: str, text: str, names: TemplateNames, add: AddCoded) -> None:
    for found in single_braces(text, names.variables):
        path = found.path[:80]
        if found.is_certain:
            add(field, f"`{{{path}}}` would be sent as it is: write {{{{ {path} }}}}", "single-braces")
        else:
            message = f"`{{{path}}}` would be sent as it is; the value of the variable is {{{{ vars.{path} }}}}"
            add(field, message, "single-braces", "warning")


def _check_edges(draft: Draft, report: Report) -> None:
    nodes, ids = _sound(draft), set(draft.ids)
    for index, edge in enumerate(draft.edges):
        if edge is None:
            continue
        field = f"edges[{index}]"
        if edge.source not in ids:
            end = edge.target if edge.target in ids else None
            report.add(end, f"{field}.source", f"unknown node '{edge.source[:64]}'", "unknown-node")
        elif edge.source in nodes:
            _check_handle(nodes[edge.source], edge, field, report)
        if edge.target not in ids:
            start = edge.source if edge.source in ids else None
            report.add(start, f"{field}.target", f"unknown node '{edge.target[:64]}'", "unknown-node")
        elif edge.target in nodes and nodes[edge.target].data.starts():
            report.add(edge.target, f"{field}.target", "is a trigger: no edge may lead to it", "edge-to-trigger")


def _sound(draft: Draft) -> dict[str, Node]:
    """The nodes without errors: their handles are known, and whether they are triggers."""
    return {each.node.id: each.node for each in draft.nodes if each.sound}


def _check_handle(node: Node, edge: Edge, field: str, report: Report) -> None:
    handles = node.data.handles()
    known = f"the handles are {', '.join(handles)}" if handles else "the node has no handle"
    if edge.source_handle is None:
        if len(handles) != 1:
            report.add(node.id, f"{field}.sourceHandle", f"is required: {known}", "unknown-handle")
    elif edge.source_handle not in handles:
        hint = " (error needs onError: branch)" if edge.source_handle == "error" and handles == ("out",) else ""
        message = f"unknown handle '{edge.source_handle[:64]}': {known}{hint}"
        report.add(node.id, f"{field}.sourceHandle", message, "unknown-handle")


def _check_graph(draft: Draft, report: Report) -> None:
    nodes = _sound(draft)
    successors: dict[str, list[str]] = {node_id: [] for node_id in draft.ids}
    for edge in draft.edges:
        if edge is not None and edge.source in successors and edge.target in successors:
            successors[edge.source].append(edge.target)
    starts = [node.id for node in nodes.values() if node.data.starts()]
    if starts:
        # A node with errors may be a trigger, so the nodes behind it are not reported as unreachable.
        reached = flow_graph.reachable(successors, [*starts, *(name for name in draft.ids if name not in nodes)])
        for node_id in dict.fromkeys(draft.ids):
            if node_id not in reached:
                report.add(node_id, "", "cannot be reached from a trigger", "unreachable")
    elif nodes and len(nodes) == len(draft.head.nodes):
        report.add(None, "nodes", "the flow has no trigger: a webhook node with mode trigger", "no-trigger")
    spinning = {name: targets for name, targets in successors.items() if name in nodes and not nodes[name].data.waits()}
    # The items of a loop bound what it repeats. The nodes behind `done` may still be on a cycle.
    after = loop_bodies.targets(draft)
    spinning |= {name: after.get((name, "done"), []) for name in spinning if nodes[name].data.repeats()}
    for cycle in flow_graph.cycles(spinning):
        report.add(cycle[0], "", f"is on a cycle that never waits: {' → '.join(cycle)}", "endless-cycle")
