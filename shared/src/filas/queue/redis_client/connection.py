"""The connection to Redis (one server, Sentinels or a Cluster), with time-outs and one error for "unavailable"."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from redis import exceptions
from redis.asyncio import ConnectionPool
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialBackoff

from filas.errors import StoreUnavailable
from filas.queue.redis_client import hiredis_connections
from filas.queue.redis_client.cluster_client import ClusterClient
from filas.queue.redis_client.queue_keys import QueueKeys
from filas.queue.redis_client.scripts import Script
from filas.settings.setting_groups import RedisSettings
from filas.settings.value_types import Secret

CONNECT_TIMEOUT_S: Final = 3.0
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


class Redis:
    """A connection pool to Redis, for commands and scripts.

    `problem` is None if the last command was answered, otherwise the reason why not. Every error that means "Redis is
    unavailable or refuses writes" is raised as StoreUnavailable. A command is never repeated automatically, because
    its outcome is unknown and only the caller knows whether it may be repeated.
    """

    def __init__(self, client: Any, *, cluster: bool = False) -> None:
        self.client = client
        self.cluster = cluster
        self.problem: str | None = None

    def keys(self, queue: str) -> QueueKeys:
        """Returns the names of the keys of `queue` in this Redis."""
        return QueueKeys(queue, self.cluster)

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Runs `script` and returns its reply. Sends the source only if the server has not cached it."""
        with self._translated_errors():
            try:
                return await self.client.execute_command("EVALSHA", script.sha, len(keys), *keys, *args)
            except exceptions.NoScriptError:
                return await self.client.execute_command("EVAL", script.source, len(keys), *keys, *args)

    async def command(self, *parts: Any) -> Any:
        """Runs one command. Returns its reply as redis-py parses it. On a Cluster, its first key selects the node."""
        with self._translated_errors():
            return await self.client.execute_command(*parts)

    async def pop_blocking(self, key: str, timeout_s: float) -> bool:
        """Removes an element from the list `key`, waiting up to `timeout_s` for one. Returns whether there was one.

        Redis checks its time-outs ten times a second, so the call may last 0.1 s longer.
        """
        with self._translated_errors():
            return (
                await self.client.execute_command("BLPOP", key, f"{max(timeout_s, _SHORTEST_BLOCK_S):.3f}") is not None
            )

    async def identity(self) -> str:
        """Returns a name of the server, which changes when another server answers (restart, failover)."""
        with self._translated_errors():
            if self.cluster:
                await self.client.initialize()
                return " ".join(sorted(node.name for node in self.client.get_primaries()))
            info: dict[str, Any] = await self.client.info("server")
            return str(info.get("run_id", ""))

    @staticmethod
    def outcome_unknown(error: StoreUnavailable) -> bool:
        """Whether the command that raised `error` may have been executed.

        It was not executed if the server refused it or no connection was made.
        """
        cause = error.__cause__
        text = str(cause)
        refused = isinstance(cause, exceptions.ResponseError | exceptions.ReadOnlyError | ConnectionRefusedError)
        return not (refused or "connecting to" in text or "No master found" in text)

    async def close(self) -> None:
        """Closes all connections."""
        with contextlib.suppress(*_UNAVAILABLE):
            await self.client.aclose()

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except _UNAVAILABLE as error:
            self.problem = str(error) or type(error).__name__
            raise StoreUnavailable("redis", self.problem) from error
        except exceptions.ResponseError as error:
            text = str(error)
            if not any(code in text for code in _UNAVAILABLE_CODES):
                raise
            self.problem = text
            raise StoreUnavailable("redis", text) from error
        else:
            self.problem = None


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
                "socket_timeout": CONNECT_TIMEOUT_S,
                "socket_connect_timeout": CONNECT_TIMEOUT_S,
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
