"""Runs `subflow`: starts the flow, and assigns its results to variables."""

from filas.flows.nodes.subflow import SubflowData
from filas.flows.templates import template
from filas.flows.templates.json_text import render_nested
from flow_runner.engine.node_protocol import Call, Done, NodeFailure, Visit


async def run(visit: Visit) -> Done | Call:
    data: SubflowData = visit.data
    if visit.returned is None:
        values = render_nested(data.input, visit.scope.roots)
        visit.input = {"flowId": data.flow_id, "input": values}
        return Call(data.flow_id, data.version, values)
    for name, value in data.output.items():
        try:
            visit.assign(name, render_nested(value, visit.returned.roots))
        except template.TemplateError:
            raise
        except ValueError as error:
            raise NodeFailure("variable", f"output.{name}: {error}") from None
    return Done(visit.returned.output)
