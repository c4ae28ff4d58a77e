"""Runs `end`."""

from filas.flows import templates
from filas.flows.nodes.end import EndData
from flow_runner.nodes.visit import Finish, NodeRunner, Visit


async def _run(visit: Visit) -> Finish:
    data: EndData = visit.data
    output = templates.render(data.output, visit.scope.roots)
    visit.input = {"status": data.status}
    return Finish(data.status, output)


RUNNER = NodeRunner(_run)
