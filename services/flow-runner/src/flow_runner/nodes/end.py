"""Runs `end`."""

from filas.flows.nodes.end import EndData
from filas.flows.templates import template
from flow_runner.engine.node_protocol import Finish, Visit


async def run(visit: Visit) -> Finish:
    data: EndData = visit.data
    output = template.render(data.output, visit.scope.roots)
    visit.input = {"status": data.status}
    return Finish(data.status, output)
