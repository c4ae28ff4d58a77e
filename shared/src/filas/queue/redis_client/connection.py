"""The connection to Redis (one server, Sentinels or a Cluster), with time-outs and one error for "unavailable"."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

from redis import exceptions
from redis.asyncio import ConnectionPool
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialBackoff

from filas.backoff import exponential
from filas.errors import StoreUnavailable
from filas.observability.logs import get_logger
from filas.observability.store_circuits import report_circuit
from filas.queue.redis_client import hiredis_connections
from filas.queue.redis_client.beat import Beat
from filas.queue.redis_client.cluster_client import ClusterClient
from filas.queue.redis_client.queue_keys import QueueKeys
from filas.queue.redis_client.scripts import Script
from filas.settings.setting_groups import RedisSettings
from filas.settings.value_types import Secret
from filas.store_circuit import StoreCircuit
from filas.store_watch import NO_ANSWER, WORKER_PATIENCE_S, CallSkipped, StoreWatch

STORE: Final = "redis"
CONNECT_TIMEOUT_S: Final = 3.0
SENTINEL_TIMEOUT_S: Final = 0.7
"""How long one Sentinel may take to answer. Then the next one is asked."""

PROBE_TIMEOUT_S: Final = 10.0
"""A probe of a frozen server lasts until the server continues, so that it is used at once."""

FIRST_PROBE_S: Final = 0.1
LONGEST_PROBE_S: Final = 0.25
ANSWER_TIMEOUT_S: Final = 5.0
"""How long a command may take, in seconds. A connection that takes longer is closed."""

_SHORTEST_BLOCK_S: Final = 0.01
"""The shortest blocking time. Redis 6 truncates 0.001 s to 0, which means to block without end."""

_UNAVAILABLE = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.ClusterError,
    exceptions.RedisClusterException,
    OSError,
    asyncio.TimeoutError,
)
_UNAVAILABLE_CODES = (
    "READONLY", "LOADING", "MISCONF", "OOM", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "BUSY ",
    "NOAUTH", "WRONGPASS", "MOVED", "UNBLOCKED",
)  # fmt: skip
"""Errors of a server that runs but cannot do the work now. Redis 6.2 wraps them in another error in a script."""

_chance = random.SystemRandom()
_log = get_logger(__name__)


class Redis:
    """A connection pool to Redis, for commands and scripts.

    `problem` is None if Redis is used and the last command was answered, otherwise the reason why not. Every error that
    means "Redis is unavailable or refuses writes" is raised as StoreUnavailable. After Redis has not answered for the
    patience of `watch`, every call raises it at once, until a probe in the background is answered. A command is never
    repeated automatically, because its outcome is unknown and only the caller knows whether it may be repeated.
    """

    def __init__(self, client: Any, *, cluster: bool = False) -> None:
        self.client = client
        self.cluster = cluster
        self._problem: str | None = None
        self._reported: str | None = None
        self._is_prepared = False
        self._beat = Beat(client, cluster=cluster)
        self._recovery: asyncio.Task[None] | None = None
        circuit = StoreCircuit(STORE, patience_s=WORKER_PATIENCE_S)
        circuit.on_change = self._report
        report_circuit(circuit)
        self.watch = StoreWatch(circuit, self._send_beat, self._start_recovery, _is_answer)

    @property
    def problem(self) -> str | None:
        """None if Redis is used and the last command was answered, otherwise the reason why not."""
        return self.watch.circuit.problem or self._problem

    def keys(self, queue: str) -> QueueKeys:
        """Returns the names of the keys of `queue` in this Redis."""
        return QueueKeys(queue, self.cluster)

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Runs `script` and returns its reply. Sends the source only if the server has not cached it."""
        async with self._call():
            try:
                return await self.client.execute_command("EVALSHA", script.sha, len(keys), *keys, *args)
            except exceptions.NoScriptError:
                return await self.client.execute_command("EVAL", script.source, len(keys), *keys, *args)

    async def command(self, *parts: Any) -> Any:
        """Runs one command. Returns its reply as redis-py parses it. On a Cluster, its first key selects the node."""
        async with self._call():
            return await self.client.execute_command(*parts)

    async def pop_blocking(self, key: str, timeout_s: float) -> bool:
        """Removes an element from the list `key`, waiting up to `timeout_s` for one. Returns whether there was one.

        Redis checks its time-outs ten times a second, so the call may last 0.1 s longer.
        """
        with self._translated_errors():
            # The answer is expected late, so its absence means nothing.
            async with self.watch.abandonable():
                return (
                    await self.client.execute_command("BLPOP", key, f"{max(timeout_s, _SHORTEST_BLOCK_S):.3f}")
                    is not None
                )

    async def identity(self) -> str:
        """Returns a name of the server, which changes when another server answers (restart, failover)."""
        async with self._call():
            if self.cluster:
                await self.client.initialize()
                return " ".join(sorted(node.name for node in self.client.get_primaries()))
            info: dict[str, Any] = await self.client.info("server")
            return str(info.get("run_id", ""))

    @staticmethod
    def outcome_unknown(error: StoreUnavailable) -> bool:
        """Whether the command that raised `error` may have been executed.

        It was not executed if it was not sent, the server refused it or no connection was made.
        """
        if isinstance(error, CallSkipped):
            return False
        cause = error.__cause__
        text = str(cause)
        refused = isinstance(cause, exceptions.ResponseError | exceptions.ReadOnlyError | ConnectionRefusedError)
        return not (refused or "connecting to" in text or "No master found" in text)

    async def close(self) -> None:
        """Closes all connections."""
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
            self._recovery = None
        await self.watch.close()
        await self._beat.close()
        with contextlib.suppress(*_UNAVAILABLE):
            await self.client.aclose()

    @contextlib.asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        with self._translated_errors(), self.watch.call():
            async with self.watch.abandonable():
                yield
        if not self._is_prepared:
            self._is_prepared = True
            self.watch.prepare()

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except _UNAVAILABLE as error:
            self._problem = str(error) or type(error).__name__
            raise StoreUnavailable(STORE, self._problem) from error
        except exceptions.ResponseError as error:
            text = str(error)
            if not any(code in text for code in _UNAVAILABLE_CODES):
                raise
            self._problem = text
            raise StoreUnavailable(STORE, text) from error
        else:
            self._problem = None

    def _report(self, circuit: StoreCircuit) -> None:
        report_circuit(circuit)
        if circuit.problem is None:
            _log.info("redis.available")
        elif circuit.problem != self._reported:
            _log.warning("redis.unavailable", reason=circuit.problem)
        self._reported = circuit.problem

    async def _send_beat(self) -> None:
        with self._translated_errors():
            await self._beat.send()

    def _start_recovery(self) -> None:
        self._recovery = asyncio.create_task(self._recover(), name="redis-recovery")

    async def _recover(self) -> None:
        """Probes until Redis answers, and then closes the circuit."""
        circuit, attempt = self.watch.circuit, 0
        while True:
            circuit.probe()
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    await self._beat.renew()
                    await self._send_beat()
                # Without their end, connections through a network that lost them would be used again.
                await self._beat.drop_idle_connections()
                circuit.close()
            except StoreUnavailable as error:
                circuit.open(error.reason)
            except TimeoutError:
                circuit.open(NO_ANSWER)
            except Exception as error:  # a Redis that refuses PING answers, so its commands are tried
                _log.warning("redis.probe_refused", reason=str(error)[:200])
                circuit.close()
                return
            else:
                return
            attempt += 1
            jitter = 0.5 + _chance.random() / 2
            await asyncio.sleep(exponential(attempt, base_s=FIRST_PROBE_S, cap_s=LONGEST_PROBE_S, jitter=jitter))


def _is_answer(error: Exception) -> bool:
    """Whether the error came from the server or the network, and not from a time limit."""
    return not isinstance(error.__cause__ or error, exceptions.TimeoutError | TimeoutError)


def connect(settings: RedisSettings) -> Redis:
    """Returns the Redis that `settings` name. The first command opens the first connection."""
    shared: dict[str, Any] = {
        "username": settings.redis_username,
        "password": _revealed(settings.redis_password),
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": ANSWER_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": 0,
    }
    tls = settings.redis_tls
    if tls:
        # By default, redis-py 5 accepts a valid certificate of any host.
        shared["ssl_check_hostname"] = True
    if settings.redis_cluster:
        # The client's own retries would repeat a script whose outcome is unknown. It accepts no other connection class.
        make_cluster: Any = ClusterClient  # redis-py's types make it abstract
        client = make_cluster(
            host=settings.redis_host, port=settings.redis_port, ssl=tls, cluster_error_retry_attempts=1, **shared
        )
        return Redis(client, cluster=True)
    # Only connecting is retried. Without `retry_on_error`, a command that was sent is not repeated.
    shared["retry"] = Retry(ExponentialBackoff(cap=0.2, base=0.02), 2)
    if settings.redis_sentinels:
        make: Any = Sentinel  # redis-py's constructor has no types
        sentinel = make(
            [tuple(address) for address in settings.redis_sentinels],
            sentinel_kwargs={
                "socket_timeout": SENTINEL_TIMEOUT_S,
                "socket_connect_timeout": SENTINEL_TIMEOUT_S,
                "password": _revealed(settings.redis_sentinel_password),
            },
            connection_class=hiredis_connections.SentinelSSLConnection
            if tls
            else hiredis_connections.SentinelConnection,
            db=settings.redis_db,
            **shared,
        )
        return Redis(sentinel.master_for(settings.redis_sentinel_master or ""))
    pool = ConnectionPool(
        connection_class=hiredis_connections.SSLConnection if tls else hiredis_connections.Connection,
        host=settings.redis_host,
        port=settings.redis_port,
        db=settings.redis_db,
        **shared,
    )
    return Redis(Client.from_pool(pool))


def _revealed(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None
