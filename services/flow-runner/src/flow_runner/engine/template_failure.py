"""The failure of a node whose template cannot be rendered: it names the field that has the template."""

from filas.flows.nodes.node_data import NodeData
from filas.flows.templates import template
from filas.flows.templates.template import TemplateError
from flow_runner.engine.node_protocol import Failed

_MAX_SHOWN = 80


def template_failure(data: NodeData, error: TemplateError) -> Failed:
    """The failure, with the field and the beginning of its template."""
    field = _field(data, error.source)
    if field is None or error.source is None:
        return Failed("template", str(error))
    source = " ".join(error.source.split())
    shown = f"{source[:_MAX_SHOWN]}…" if len(source) > _MAX_SHOWN else source
    return Failed("template", f"{field}: {error} (in {shown})", detail={"field": field})


def _field(data: NodeData, source: str | None) -> str | None:
    """The field whose template is `source`; None if no field has it."""
    for field, value in data.templates():
        for path, text in template.texts(value):
            if text == source:
                return field + path
    return None
