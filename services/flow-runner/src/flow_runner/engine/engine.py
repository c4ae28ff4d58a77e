"""Runs executions, turn by turn."""

from collections.abc import Mapping

from filas.models.executions import ClaimedExecution
from flow_runner.engine.compiled_flow import Plan
from flow_runner.engine.execution_run import Ports, Turn, TurnEnd
from flow_runner.engine.flow_cursor import position_of
from flow_runner.engine.node_protocol import NodeRunner
from flow_runner.engine.ports import Clock, ExecutionStore, Flows, Outbound, ResumeAddresses, Secrets
from flow_runner.engine.run_time_budget import Budget
from flow_runner.nodes.node_runners import RUNNERS


class Engine:
    """Runs turns of executions, each alone; many run at a time in one process. `flows` are those that a flow may
    call, `addresses` are where they wait for calls. `runners` says how each type of node is run."""

    def __init__(
        self,
        store: ExecutionStore,
        outbound: Outbound,
        secrets: Secrets,
        clock: Clock,
        flows: Flows,
        addresses: ResumeAddresses,
        runners: Mapping[str, NodeRunner] = RUNNERS,
    ) -> None:
        self._ports = Ports(store, outbound, clock, runners)
        self._secrets = secrets
        self._flows = flows
        self._addresses = addresses

    async def run(self, claimed: ClaimedExecution, plan: Plan, budget: Budget) -> TurnEnd:
        """Runs one turn and says how it ended.

        Raises LeaseLost when somebody else holds the execution by now, StoreUnavailable, and PermanentError
        when the execution can't be run by this version.
        """
        position = position_of(claimed, plan, self._flows, self._secrets, self._addresses)
        await position.resume()
        turn = Turn(self._ports, claimed, plan, budget, position)
        try:
            return await turn.run()
        finally:
            turn.steps.interrupted()
