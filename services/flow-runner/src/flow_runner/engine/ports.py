"""What the engine needs of the world, as it needs it. The engine knows no queue, no database, no HTTP server."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

from filas.models.executions import Checkpoint, ClaimedExecution, ExecutionStatus
from flow_runner.engine.compiled_flow import Plan


class ExecutionStore(Protocol):
    """Where executions are kept."""

    async def checkpoint(self, claimed: ClaimedExecution, checkpoint: Checkpoint) -> ExecutionStatus:
        """Writes all of it or nothing, and gives the status that the execution has then: `queued` where it was
        to wait and is to be cancelled. Raises LeaseLost when somebody else holds the execution by now, and
        StoreUnavailable."""


class OutboundAnswer(Protocol):
    """An HTTP answer, its body read whole."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def body(self) -> bytes: ...


class Outbound(Protocol):
    """Guarded calls to the outside."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> OutboundAnswer:
        """Raises OutboundRefused, OutboundTimeout and OutboundFailed."""


class Secrets(Protocol):
    """The secrets of flows."""

    async def revealed(self) -> Mapping[str, str]:
        """Each secret that can be read, in the clear, by its name. Raises StoreUnavailable."""


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds that only grow."""

    def share(self) -> float:
        """A random share from 0 to 1, for the jitter of a retry."""


class ResumeAddresses(Protocol):
    """Where a flow may be called while it waits."""

    def address(self, execution_id: UUID, callback_id: UUID) -> str:
        """The whole address; always the same for a callback."""


class Flows(Protocol):
    """The flows that an execution may call."""

    async def get(self, flow_id: str, version: int) -> Plan:
        """A version, ready to be walked. Raises PermanentError when it is gone or can't be run, and
        StoreUnavailable."""

    async def published(self, flow_id: str) -> int | None:
        """The version that is published now. Raises StoreUnavailable."""
