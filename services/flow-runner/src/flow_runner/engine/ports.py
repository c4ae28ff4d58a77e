"""The interfaces that the engine uses. The engine imports no queue, no database and no HTTP server."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from filas.crypto.secret_box import SecretBox
from filas.models.executions import Checkpoint, ClaimedExecution, ExecutionStatus
from filas.outbound.outbound_response import OutboundResponse
from flow_runner.engine.compiled_flow import CompiledFlow


class ExecutionStore(Protocol):
    """Stores executions."""

    async def checkpoint(self, claimed: ClaimedExecution, checkpoint: Checkpoint) -> ExecutionStatus:
        """Writes all of the checkpoint or nothing. Returns the execution's status after it: `queued` if the execution
        was to wait and a cancellation was requested. Raises LeaseLost if another worker holds the execution, and
        StoreUnavailable."""


class Outbound(Protocol):
    """Makes HTTP calls through the outbound guard."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> OutboundResponse:
        """Raises OutboundRefused, OutboundTimeout and OutboundFailed."""


class Secrets(Protocol):
    """The secrets of flows."""

    async def revealed(self, needed: Collection[str] = ()) -> Mapping[str, str]:
        """Every readable secret in plain text, by its name: certainly those of `needed` that exist. Raises
        StoreUnavailable."""


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """The time in UTC, with its time zone."""

    def monotonic(self) -> float:
        """Seconds that never decrease."""

    def share(self) -> float:
        """A random number from 0 to 1, for the jitter of a retry."""


class ResumeAddresses(Protocol):
    """The addresses at which callbacks are made."""

    def address(self, execution_id: UUID, callback_id: UUID) -> str:
        """The complete address. It is always the same for one callback."""


class Flows(Protocol):
    """The flows that an execution may run as subflows."""

    async def get(self, flow_id: str, version: int) -> CompiledFlow:
        """A compiled version. Raises PermanentError if it does not exist or is invalid, FlowOfNewerVersion if it uses
        what this version does not know, and StoreUnavailable."""

    async def published(self, flow_id: str) -> int | None:
        """The version that is published now, None if there is none. Raises StoreUnavailable."""


class Channels(Protocol):
    """The configured channels."""

    async def type_of(self, channel_id: str) -> str | None:
        """The type of a channel, None if there is no such channel. Raises StoreUnavailable."""


class NoChannels:
    """Channels of which none is stored, for a test run without a store."""

    async def type_of(self, channel_id: str) -> str | None:
        """See `Channels.type_of`."""
        del channel_id
        return None


@dataclass(frozen=True, slots=True)
class FlowServices:
    """What the cursor needs to load flows and to build their template scopes: the flows that an execution may run as
    subflows, the secrets, the addresses of callbacks. `box` encrypts the state of executions that hold secrets."""

    flows: Flows
    secrets: Secrets
    addresses: ResumeAddresses
    box: SecretBox
