"""Runs `condition`."""

from flow_runner.nodes.testing import holds
from flow_runner.nodes.visit import Done, NodeRunner, Visit


async def _run(visit: Visit) -> Done:
    visit.input = {}
    result = holds(visit.data, visit, visit.input)
    return Done({"result": result}, "true" if result else "false")


RUNNER = NodeRunner(_run)
