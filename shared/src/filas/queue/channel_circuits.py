"""The circuits and rates of the channels, kept in Redis so that all notifiers share them.

If Redis loses its data, the circuits are learned again from the channels' next responses. The names of the
Redis keys are older than the word channel circuit, and older versions read them (see `redis_client.queue_keys`).
"""

import hashlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

from filas.batching import MicroBatcher
from filas.contract.channel_circuits import (
    BUSY_PAUSE_S,
    FAILURES_TO_OPEN,
    LONGEST_PAUSE_S,
    OPEN_S,
    AdmissionRequest,
    Admitted,
    ChannelReport,
    CircuitChange,
    CircuitState,
    CircuitStatus,
    Deferred,
)
from filas.contract.policies import NOTIFICATIONS
from filas.contract.storable_text import escaped_bytes
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load

PATIENCE_MS: Final = 50
"""How long a handler waits for a slot of the rate, instead of returning its job to the queue, which costs more."""

PROBE_MS: Final = 20_000
"""How long a probe may take. It is longer than any attempt, so a probe without a report belonged to a dead process."""

SHORTEST_PAUSE_MS: Final = 250
MAX_BATCH: Final = 200
_REASONS: Final = {-1: "paused", -2: "half-open", -3: "rate", -4: "recipient"}
_CHANGES: Final[tuple[Literal["none", "opened", "closed"], ...]] = ("none", "opened", "closed")


class ChannelCircuits:
    """The `ChannelCircuitStore` in Redis. Concurrent calls of one process share one call to Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._names = redis.keys(NOTIFICATIONS.name)
        self._admit = MicroBatcher[AdmissionRequest, Admitted | Deferred](self.admit_many, limit=MAX_BATCH)
        self._report = MicroBatcher[ChannelReport, CircuitChange](self.report_many, limit=MAX_BATCH)

    async def admit(self, asked: AdmissionRequest) -> Admitted | Deferred:
        """See `ChannelCircuitStore.admit`."""
        return await self._admit.add(asked)

    async def report(self, report: ChannelReport) -> CircuitChange:
        """See `ChannelCircuitStore.report`."""
        return await self._report.add(report)

    async def admit_many(self, asked: Sequence[AdmissionRequest]) -> list[Admitted | Deferred]:
        """Admits several messages. Returns one decision each, in order. Raises StoreUnavailable."""
        keys: list[str] = []
        args: list[Any] = [PATIENCE_MS, PROBE_MS]
        for one in asked:
            recipient = hashlib.sha256(escaped_bytes(one.recipient)).hexdigest()[:32]
            parts = ("", ":pace", ":slots", f":receiver:{recipient}")
            keys += (self._key(one.channel_id) + part for part in parts)
            per_second, per_recipient = one.limits.per_second, one.limits.per_recipient
            args += (one.id, _interval_ms(per_second), math.ceil(per_second) + 1, _interval_ms(per_recipient))
        answer = await self._redis.run(load("admit"), keys, args)
        return [_admission(int(what), float(ms) / 1000) for what, ms in zip(answer[::2], answer[1::2], strict=True)]

    async def report_many(self, reports: Sequence[ChannelReport]) -> list[CircuitChange]:
        """Records several reports. Returns one change each, in order. Raises StoreUnavailable."""
        args: list[Any] = [
            FAILURES_TO_OPEN,
            int(OPEN_S * 1000),
            int(BUSY_PAUSE_S * 1000),
            int(LONGEST_PAUSE_S * 1000),
            SHORTEST_PAUSE_MS,
        ]
        for one in reports:
            args += (one.id, one.outcome, -1 if one.pause_s is None else int(one.pause_s * 1000))
        answer = await self._redis.run(load("report"), [self._key(one.channel_id) for one in reports], args)
        return [
            CircuitChange(change=_CHANGES[int(change)], resume_s=float(ms) / 1000)
            for change, ms in zip(answer[::2], answer[1::2], strict=True)
        ]

    async def status(self, channel_id: str) -> CircuitStatus:
        """Returns the circuit of a channel. It is closed unless Redis holds another state. Raises StoreUnavailable."""
        [found] = await self.status_many([channel_id])
        return found

    async def status_many(self, channel_ids: Sequence[str]) -> list[CircuitStatus]:
        """Returns the circuits of several channels, in order. Raises StoreUnavailable."""
        if not channel_ids:
            return []
        now, *rows = await self._redis.run(load("circuit_status"), [self._key(one) for one in channel_ids], [])
        return [_status(rows[at : at + 3], float(now)) for at in range(0, len(rows), 3)]

    async def close(self, channel_id: str) -> bool:
        """Closes the circuit of a channel and forgets its failures. False if it was closed. Raises StoreUnavailable."""
        found = await self.status(channel_id)
        await self._redis.command("UNLINK", self._key(channel_id))
        return found.state != "closed"

    def _key(self, channel_id: str) -> str:
        return self._names.named(f"destination:{channel_id}")


def _interval_ms(per_second: float) -> str:
    return f"{1000 / per_second:.3f}" if per_second > 0 else "0"


def _admission(what: int, seconds: float) -> Admitted | Deferred:
    if what >= 0:
        return Admitted(delay_s=seconds, probe=what == 2, reports_success=what == 1)
    return Deferred(reason=cast("Literal['paused', 'half-open', 'rate', 'recipient']", _REASONS[what]), delay_s=seconds)


def _status(row: list[bytes], now_ms: float) -> CircuitStatus:
    ends, reason, failures = row
    if not ends:
        return CircuitStatus(state="closed", failures=int(failures or 0))
    state: CircuitState = "open" if float(ends) > now_ms else "half-open"
    return CircuitStatus(
        state=state,
        reason="busy" if reason == b"busy" else "failing",
        until=datetime.fromtimestamp(float(ends) / 1000, UTC),
    )
