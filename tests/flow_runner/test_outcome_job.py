"""The job that lets an execution learn the outcome of its message."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest

from filas.contract.identity import new_id, undelivered_execution_id
from filas.contract.jobs import FlowJob, LearnOutcomeJob
from filas.contract.new_job import NewJob
from filas.contract.policies import FLOWS, QueuePolicy
from filas.errors import PermanentError, RetryLater, StoreBusy
from filas.models.executions import DueExecution, ExecutionStatus, FollowingExecution
from filas.models.message_outcomes import LateFailure, UnlearnedOutcome
from filas.models.record import ErrorDetail
from filas.queue.job_functions import JobContext
from filas.queue.producer import EnqueueOutcome
from flow_runner.engine.error_flow import undelivered_trigger
from flow_runner.jobs.job_outbox import MessageOutcomeRelay
from flow_runner.jobs.outcome_job import LearnOutcomes
from tests.flow_runner.harness import KnownFlows, chain, node

ERROR = ErrorDetail(kind="131047", message="Re-engagement message")
FAILED_NODE: dict[str, Any] = {}
CONTEXT = JobContext("id", "learn_outcome")


def due(execution_id: UUID | None = None) -> DueExecution:
    return DueExecution(
        id=execution_id or new_id(), turn=2, flow_id="flow", conversation_id=None, status="queued", channel="c",
        contact="55",
    )  # fmt: skip


def late(trigger: dict[str, Any] | None = None, status: ExecutionStatus = "succeeded") -> LateFailure:
    return LateFailure(
        notification_id=new_id(),
        error=ERROR,
        channel_id="wa",
        recipient="+55",
        input={"channel": "wa", "to": "+55", "type": "text", "text": "oi"},
        node_id="hello",
        node_has_failed=False,
        execution_id=new_id(),
        flow_id="flow",
        version=1,
        execution_status=status,
        trigger=msgspec.json.encode(trigger or {"webhook": {"body": {"a": 1}}, "message": {"text": "oi"}}).decode(),
    )


class Rows:
    """Answers as the test sets it, and keeps what is to start."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.finished: list[tuple[UUID, FollowingExecution | None]] = []
        self.starts = True

    async def learn_many(self, notification_ids: Sequence[UUID]) -> Sequence[Any]:
        assert len(notification_ids) == len(self.answers)
        return self.answers

    async def finish_late(self, notification_id: UUID, start: FollowingExecution | None) -> DueExecution | None:
        self.finished.append((notification_id, start))
        return due(start.id) if start is not None and self.starts else None


class Jobs:
    """Keeps the enqueued jobs."""

    def __init__(self) -> None:
        self.new: list[NewJob] = []
        self.existing: set[str] = set()
        self.promoted: list[str] = []
        self.states: list[str] = []

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> Sequence[object]:
        self.new += jobs
        return [EnqueueOutcome.DUPLICATE if job.job_id in self.existing else EnqueueOutcome.ENQUEUED for job in jobs]

    async def promote(self, policy: QueuePolicy, job_id: str) -> str:
        assert policy is FLOWS
        self.promoted.append(job_id)
        return self.states.pop(0)


def flows(**settings: Any) -> KnownFlows:
    known = KnownFlows()
    known.publish("flow", chain(node("end", "end"), settings=settings))
    return known


async def learn(rows: Rows, jobs: Jobs, known: KnownFlows) -> Sequence[str | Exception]:
    message = LearnOutcomeJob(notification_id=new_id(), status="failed")
    return await LearnOutcomes(rows, known, jobs, jobs)([(CONTEXT, message) for _ in rows.answers])


async def test_a_resumed_execution_gets_its_job() -> None:
    """In the group of its conversation. Two outcomes of one execution make one job."""
    jobs, resumed = Jobs(), due()
    assert await learn(Rows(resumed, resumed, "over"), jobs, flows()) == ["resumed", "resumed", "nothing-to-do"]
    [job] = jobs.new
    assert isinstance(job.message, FlowJob)
    assert (job.message.execution_id, job.message.turn, job.group) == (resumed.id, 2, "c:55")


@pytest.mark.parametrize("states", [["done"], ["running", "running", "done"], ["absent"], ["running"] * 6])
async def test_the_job_that_holds_the_conversation_becomes_due(states: list[str]) -> None:
    """Also if it has not ended when the outcome arrives."""
    jobs, resumed = Jobs(), due()
    jobs.existing = {FLOWS.job_id(f"{resumed.id}:2")}
    jobs.states = list(states)
    assert await learn(Rows(resumed), jobs, flows()) == ["resumed"]
    assert jobs.promoted == [FLOWS.job_id(f"{resumed.id}:2")] * len(states)


async def test_it_asks_again_while_a_worker_runs_the_execution() -> None:
    [again, busy] = await learn(Rows("running", StoreBusy("locked", "row")), Jobs(), flows())
    assert isinstance(again, RetryLater)
    assert not again.uses_attempt
    assert isinstance(busy, StoreBusy)


async def test_a_late_failure_starts_the_flow_for_undelivered_messages() -> None:
    failure, jobs = late(), Jobs()
    rows = Rows(failure)
    assert await learn(rows, jobs, flows(undeliveredFlowId="sorry")) == ["started"]
    [(notification_id, start)] = rows.finished
    assert start is not None
    assert (notification_id, start.id) == (failure.notification_id, undelivered_execution_id(failure.notification_id))
    assert start.flow_id == "sorry"
    assert msgspec.json.decode(start.trigger) == {
        "webhook": {
            "body": {
                "error": {"kind": "131047", "message": "Re-engagement message", "nodeId": None, "detail": None},
                "message": {
                    "id": str(failure.notification_id),
                    "nodeId": "hello",
                    "channel": "wa",
                    "to": "+55",
                    "content": {"type": "text", "text": "oi"},
                },
                "execution": {"id": str(failure.execution_id), "flowId": "flow", "version": 1, "status": "succeeded"},
                "event": {"a": 1},
            },
            "headers": {},
            "queryParams": {},
        },
        "message": {"text": "oi"},
        "undeliveredOf": str(failure.execution_id),
    }
    [job] = jobs.new
    assert isinstance(job.message, FlowJob)
    assert (job.message.execution_id, job.message.reason) == (start.id, "start")


@pytest.mark.parametrize(
    ("step_input", "content"),
    [
        ({"kind": "text", "prompt": "CPF?"}, {"type": "text", "text": "CPF?"}),
        ({"channel": "wa", "to": "+55", "messages": [{"type": "text"}]}, {"messages": [{"type": "text"}]}),
        (None, None),
    ],
)
def test_the_content_is_what_the_trace_shows(step_input: Any, content: Any) -> None:
    """So that a secret in a message is hidden in the trace of the flow that starts, too."""
    found = undelivered_trigger(msgspec.structs.replace(late(), input=step_input))
    assert found is not None
    assert msgspec.json.decode(found)["webhook"]["body"]["message"]["content"] == content


@pytest.mark.parametrize(
    ("settings", "trigger", "starts"),
    [
        ({}, None, True),
        ({"undeliveredFlowId": "sorry"}, {"webhook": {}, "undeliveredOf": "x"}, True),
        ({"undeliveredFlowId": "sorry"}, None, False),
        ({"undeliveredFlowId": "sorry"}, FAILED_NODE, True),
    ],
)
async def test_a_failure_that_starts_no_flow_is_finished_nevertheless(
    settings: dict[str, Any], trigger: dict[str, Any] | None, starts: bool
) -> None:
    """The flow names none; the message is of such a flow itself; the flow is not published; the node has failed with
    another part of the message."""
    failure = late(None if trigger is FAILED_NODE else trigger)
    rows, jobs = Rows(msgspec.structs.replace(failure, node_has_failed=trigger is FAILED_NODE)), Jobs()
    rows.starts = starts
    assert await learn(rows, jobs, flows(**settings)) == ["nothing-to-do"]
    assert len(rows.finished) == 1
    assert jobs.new == []


async def test_a_flow_that_cannot_be_read_fails_only_its_own_job() -> None:
    [failed, over] = await learn(Rows(late(), "over"), Jobs(), KnownFlows())
    assert isinstance(failed, PermanentError)
    assert over == "nothing-to-do"


def test_an_error_flow_and_a_flow_for_undelivered_messages_do_not_start_each_other_without_end() -> None:
    """Each trigger keeps the marks of the execution that starts it."""
    origin = {"webhook": {"body": 1}, "message": None, "errorOf": "first"}
    found = undelivered_trigger(late(origin))
    assert found is not None
    trigger = msgspec.json.decode(found)
    assert trigger["errorOf"] == "first"
    assert undelivered_trigger(late(trigger)) is None


async def test_the_relay_finds_outcomes_whose_job_is_lost() -> None:
    class Table:
        async def unlearned(self, older_than_s: float, limit: int, after: UUID | None = None) -> list[UnlearnedOutcome]:
            asked.append(after)
            return [UnlearnedOutcome(notification_id=one, status="failed")]

    one, asked = new_id(), list[UUID | None]()
    relay = MessageOutcomeRelay(Table())
    [job] = await relay.due(10)
    assert job.key == f"outcome:{one}:failed"
    await relay.due(10, job)
    assert asked == [None, one]
