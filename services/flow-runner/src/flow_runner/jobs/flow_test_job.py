"""The job function `test_flow` of flow-processing."""

from filas.contract.jobs import FlowTestJob
from filas.errors import PermanentError
from filas.models.flow_tests import FlowTestResult
from filas.models.record import ErrorDetail
from filas.observability import logs
from filas.queue.job_functions import JobContext
from flow_runner.engine.ports import Channels, Clock, Flows, Secrets
from flow_runner.flow_test.flow_test_run import FlowTest

KEEP_RESULT_S = 900.0
"""How long the result of a test run is kept, in seconds."""

log = logs.get_logger(__name__)


class RunFlowTest:
    """Runs a flow as a test. It writes nothing to Postgres and makes no outbound call."""

    def __init__(self, secrets: Secrets, flows: Flows, clock: Clock, channels: Channels | None = None) -> None:
        self._secrets = secrets
        self._flows = flows
        self._clock = clock
        self._channels = channels

    async def __call__(self, context: JobContext, job: FlowTestJob) -> FlowTestResult:
        """The job's result, also if the flow cannot be run at all.

        Raises StoreUnavailable, and FlowOfNewerVersion: then a newer worker runs the test.
        """
        try:
            result = await FlowTest(job, self._secrets, self._flows, self._channels).run()
        except PermanentError as error:
            result = self._not_run(job, error)
        log.info("flow.tested", job_id=context.job_id, flow_id=job.flow_id, status=result.status)
        return result

    def _not_run(self, job: FlowTestJob, error: PermanentError) -> FlowTestResult:
        now = self._clock.now()
        return FlowTestResult(
            status="failed",
            flow_id=job.flow_id,
            version=job.version,
            steps=[],
            calls=[],
            vars={},
            error=ErrorDetail(kind="definition", message=str(error)),
            started_at=now,
            ended_at=now,
        )
