"""Runs executions."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from filas.models.executions import ClaimedExecution
from flow_runner.engine.checkpoint_builder import CheckpointBuilder
from flow_runner.engine.compiled_flow import CompiledFlow
from flow_runner.engine.execution_run import ExecutionRun, RunResult
from flow_runner.engine.flow_cursor import open_cursor
from flow_runner.engine.node_protocol import NodeRunner
from flow_runner.engine.ports import Channels, Clock, ExecutionStore, FlowServices, NoChannels, Outbound


class Engine:
    """Runs executions, each by itself. Many run at the same time in one process.

    `runners` has the runner of each node type. `services` are for loading flows and for their templates. `channels` has
    the types of the channels, whose limits and markup the messages keep to.
    """

    def __init__(
        self,
        runners: Mapping[str, NodeRunner],
        store: ExecutionStore,
        outbound: Outbound,
        clock: Clock,
        services: FlowServices,
        channels: Channels | None = None,
    ) -> None:
        self._runners = runners
        self._store = store
        self._outbound = outbound
        self._clock = clock
        self._services = services
        self._channels = channels or NoChannels()

    async def run(
        self,
        claimed: ClaimedExecution,
        flow: CompiledFlow,
        stopping: Callable[[], bool],
        began_s: float | None = None,
    ) -> RunResult:
        """Runs the execution until it ends or waits, or until the time budget of the run is used.

        `flow` is the version that the execution uses. When `stopping` returns True, the run ends before its next node,
        and another run continues the execution. `began_s` is when the execution was claimed, by the clock's `monotonic`
        (None: now): loading the flow afterwards must not make the run's time late.

        Raises LeaseLost if another worker holds the execution, StoreUnavailable, NewerVersionRequired if only a newer
        version can run the execution, and PermanentError if no version can.
        """
        claimed_s = self._clock.monotonic() if began_s is None else began_s
        cursor = await open_cursor(claimed, flow, self._services)
        timeout = timedelta(milliseconds=flow.settings.timeout_ms)
        run = ExecutionRun(
            runners=self._runners,
            store=self._store,
            outbound=self._outbound,
            clock=self._clock,
            claimed=claimed,
            settings=flow.settings,
            cursor=cursor,
            builder=CheckpointBuilder(claimed, cursor, flow.settings.error_flow_id),
            deadline=claimed.deadline_at or claimed.started_at + timeout,
            began_s=claimed_s,
            claimed_s=claimed_s,
            stopping=stopping,
            channels=self._channels,
        )
        return await run.run()
