"""Runs `condition`."""

from flow_runner.engine.node_protocol import Done, NodeRunner, Visit
from flow_runner.nodes.rule_evaluation import holds


async def _run(visit: Visit) -> Done:
    visit.input = {}
    result = holds(visit.data, visit, visit.input)
    return Done({"result": result}, "true" if result else "false")


RUNNER = NodeRunner(_run)
