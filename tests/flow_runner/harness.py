"""An engine with a store in memory and recorded outbound calls."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from filas.crypto.secret_box import SecretBox
from filas.errors import PermanentError
from filas.flows.definition.flow_definition import load
from filas.flows.publishing_checks import check
from filas.models.executions import DueExecution, StepRecord
from filas.models.notifications import DueNotification
from filas.outbound.outbound_response import OutboundResponse
from flow_runner.engine.compiled_flow import CompiledFlow
from flow_runner.engine.engine import Engine
from flow_runner.engine.ports import Clock, FlowServices
from flow_runner.nodes.node_runners import RUNNERS
from flow_runner.stores.execution_store import Executions, Written
from tests.flow_runner.memory import MemoryClock, MemoryRows, Row
from tests.waiting import eventually

TRIGGER = {"id": "start", "type": "webhook", "data": {"mode": "trigger"}}


@dataclass(frozen=True)
class Call:
    """One outbound call."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    timeout_s: float

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body or b"null")


@dataclass(frozen=True)
class Response:
    """The response to a call."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


Responding = Callable[[Call], Awaitable[Response] | Response]


class RecordingOutbound:
    """Records every call and responds as the test sets it: by default with 200 and `{}`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.respond: Responding = lambda _: Response()

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> OutboundResponse:
        call = Call(method, url, dict(headers), body, timeout_s)
        self.calls.append(call)
        answer = self.respond(call)
        given = answer if isinstance(answer, Response) else await answer
        return OutboundResponse(status=given.status, headers=dict(given.headers), body=given.body, url=url)

    async def called(self, times: int = 1) -> None:
        """Waits until that many calls were made."""
        await eventually(lambda: len(self.calls) >= times)

    def hold(self) -> asyncio.Event:
        """From now on, responses arrive only after the event is set."""
        release = asyncio.Event()

        async def answer(_: Call) -> Response:
            await release.wait()
            return Response()

        self.respond = answer
        return release


BOX = SecretBox("a long and random key of the tests")


class KnownSecrets:
    """Secrets that a test sets."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def revealed(self, needed: Collection[str] = ()) -> Mapping[str, str]:
        return self.values


def flow(*nodes: dict[str, Any], edges: str = "", **rest: Any) -> dict[str, Any]:
    """A definition: the trigger `start`, `nodes`, and edges written as `start>a a.true>b`."""
    drawn = []
    for text in edges.split():
        source, target = text.split(">")
        name, _, handle = source.partition(".")
        drawn.append({"source": name, "target": target} | ({"sourceHandle": handle} if handle else {}))
    return {"schemaVersion": 1, "nodes": [TRIGGER, *nodes], "edges": drawn, **rest}


def node(node_id: str, kind: str, /, **data: Any) -> dict[str, Any]:
    return {"id": node_id, "type": kind, "data": data}


def chain(*nodes: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """A flow of nodes in a row. Each is left by `out`."""
    names = ["start", *(each["id"] for each in nodes)]
    return flow(*nodes, edges=" ".join(f"{a}.out>{b}" for a, b in itertools.pairwise(names)), **rest)


def compiled_flow(definition: dict[str, Any]) -> CompiledFlow:
    """The flow without errors of the checks. A wait may be longer than the timeout, to test the timeout."""
    errors = [one for one in check(definition)[1] if one.severity == "error" and one.code != "longer-than-timeout"]
    assert errors == []
    return CompiledFlow("flow", 1, load(definition))


class Addresses:
    """Addresses that contain the ids."""

    def address(self, execution_id: UUID, callback_id: UUID) -> str:
        return f"https://filas.example/resume/{execution_id}.{callback_id}"


class KnownFlows:
    """The flows that a test has published, by their ids."""

    def __init__(self) -> None:
        self.compiled: dict[str, CompiledFlow] = {}

    async def get(self, flow_id: str, version: int) -> CompiledFlow:
        await asyncio.sleep(0)
        compiled = self.compiled.get(flow_id)
        if compiled is None or compiled.version != version:
            raise PermanentError(f"version {version} of flow {flow_id} does not exist")
        return compiled

    async def published(self, flow_id: str) -> int | None:
        await asyncio.sleep(0)
        return self.compiled[flow_id].version if flow_id in self.compiled else None

    def publish(self, flow_id: str, definition: dict[str, Any], version: int = 1) -> None:
        checked, problems = check(definition)
        assert checked is not None, problems
        self.compiled[flow_id] = CompiledFlow(flow_id, version, checked)


class KnownChannels:
    """The types of the channels that a test has stored, by their ids."""

    def __init__(self) -> None:
        self.types: dict[str, str] = {}

    async def type_of(self, channel_id: str) -> str | None:
        await asyncio.sleep(0)
        return self.types.get(channel_id)


class Harness:
    """One worker. `run_once` does the next run of an execution. `finish` does all of them and moves the clock."""

    def __init__(
        self, rows: Callable[[MemoryClock], MemoryRows] = MemoryRows, *, worker_clock: Clock | None = None
    ) -> None:
        self.clock = MemoryClock()
        self.worker_clock = worker_clock or self.clock
        self.rows = rows(self.clock)
        self.outbound = RecordingOutbound()
        self.secrets = KnownSecrets()
        self.flows = KnownFlows()
        self.channels = KnownChannels()
        self.written: list[Written] = []
        self.enqueued_again: list[UUID] = []
        self.cancelled: list[UUID] = []
        self.executions = self.worker()
        self.engine = self.new_engine()

    def new_engine(self) -> Engine:
        services = FlowServices(self.flows, self.secrets, Addresses(), BOX)
        return Engine(RUNNERS, self.executions, self.outbound, self.worker_clock, services, self.channels)

    def worker(self, owner: str = "w1") -> Executions:
        return Executions(self.rows, owner, self)

    async def run_once(
        self, row: Row, compiled: CompiledFlow, stopping: Callable[[], bool] = lambda: False
    ) -> str | None:
        claimed = await self.executions.claim(row.id, row.turn)
        if claimed is None:
            return None
        async with self.executions.hold(claimed):
            end = await self.engine.run(claimed, compiled, stopping)
        return end.status

    async def finish(self, row: Row, compiled: CompiledFlow, most_runs: int = 500) -> Row:
        for _ in range(most_runs):
            if row.wake_at is not None and row.wake_at > self.clock.now():
                self.clock.advance((row.wake_at - self.clock.now()).total_seconds())
            status = await self.run_once(row, compiled)
            if status in ("succeeded", "failed", "cancelled", "timed-out"):
                return row
        raise AssertionError(f"not finished after {most_runs} turns: {row.status}")

    async def run(self, definition: dict[str, Any], **start: Any) -> Row:
        return await self.finish(self.rows.add(**start), compiled_flow(definition))

    def crash(self, row: Row) -> None:
        """What a killed worker leaves: a lease that no process renews, and that has expired."""
        assert row.status == "running"
        self.clock.advance(60)

    async def enqueue(self, written: list[Written]) -> bool:
        """The outbox of the executions: keeps what was written."""
        await asyncio.sleep(0)
        self.written += written
        return True

    async def enqueue_runs(self, due: Sequence[DueExecution]) -> None:
        """The outbox for executions that are to be cancelled."""
        await asyncio.sleep(0)
        self.cancelled += [one.id for one in due]

    async def enqueue_notifications(self, notifications: Sequence[DueNotification]) -> None:
        """The outbox for notifications that may have a job already."""
        await asyncio.sleep(0)
        self.enqueued_again += [each.id for each in notifications]


def path(row: Row) -> list[str]:
    """The ids of the visited nodes, in order."""
    return [step.node_id for _, step in sorted(row.steps.items())]


def step(row: Row, node_id: str) -> StepRecord:
    """The last visit of a node."""
    return [each for _, each in sorted(row.steps.items()) if each.node_id == node_id][-1]
