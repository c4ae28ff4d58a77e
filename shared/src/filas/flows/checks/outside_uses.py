"""The definitions outside of a flow that it uses: other flows, channels and secrets."""

from collections.abc import Iterator
from typing import NamedTuple

from filas.flows.definition.flow_definition import FlowDefinition, Node
from filas.flows.expressions import cel
from filas.flows.nodes.node_data import Used
from filas.flows.templates import template


class OutsideUse(NamedTuple):
    """A definition that a field of the flow (`node_id` None) or of a node names. `version`: of a flow, if it is
    fixed."""

    node_id: str | None
    field: str
    kind: Used
    name: str
    version: int | None = None


def uses(definition: FlowDefinition) -> Iterator[OutsideUse]:
    """Every use of a definition that the flow names without a template."""
    settings = definition.settings
    for field in ("error_flow_id", "undelivered_flow_id"):
        name = getattr(settings, field, None)
        if name is not None:
            first, *words = field.split("_")
            camel = first + "".join(word.capitalize() for word in words)
            yield OutsideUse(None, f"settings.{camel}", "flow", name)
    for node in definition.nodes:
        called = node.data.calls()
        for field, kind, name in node.data.uses():
            if "{{" not in name and "{%" not in name:
                version = called[1] if called is not None and kind == "flow" else None
                yield OutsideUse(node.id, field, kind, name, version)
        yield from _secrets(node)


def _secrets(node: Node) -> Iterator[OutsideUse]:
    for field, references in _references(node):
        for reference in references:
            if reference[0] == "secrets" and len(reference) > 1 and isinstance(reference[1], str):
                yield OutsideUse(node.id, field, "secret", reference[1])


def _references(node: Node) -> Iterator[tuple[str, tuple[template.Reference, ...]]]:
    for field, value in node.data.templates():
        for path, text in template.texts(value):
            yield field + path, template.parse(text).references
    for field, text in node.data.expressions():
        yield field, cel.references(text)
