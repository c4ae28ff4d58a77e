"""Redis, standalone, behind Sentinels or as a Cluster, with time-outs, and one error for "not there"."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from redis import exceptions
from redis.asyncio import ConnectionPool
from redis.asyncio import Redis as Client
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialBackoff

from filas.errors import StoreUnavailable
from filas.queue.redis_client import hiredis_connections
from filas.queue.redis_client.queue_keys import QueueKeys
from filas.queue.redis_client.scripts import Script
from filas.settings.process_settings import RedisSettings
from filas.settings.value_types import Secret

CONNECT_TIMEOUT_S: Final = 3.0
ANSWER_TIMEOUT_S: Final = 5.0
"""How long a command may stay without an answer: a stalled connection is given up after it."""

_SHORTEST_BLOCK_S: Final = 0.01
"""Redis 6 cuts a time-out to whole milliseconds, and 0.001 s of it to 0, which means for ever."""

_AWAY = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.ClusterError,
    exceptions.RedisClusterException,
    OSError,
    asyncio.TimeoutError,
)
_AWAY_CODES = (
    "READONLY", "LOADING", "MISCONF", "OOM", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "BUSY ",
    "NOAUTH", "WRONGPASS", "MOVED", "UNBLOCKED",
)  # fmt: skip
"""Answers of a server that lives but can't do the work now. Redis 6.2 wraps them when a script meets them."""


class Redis:
    """A connection pool to one Redis, by whatever way, on which scripts are run.

    `problem` is None while Redis answers, else why it doesn't (set by the last command). Everything that
    says "Redis is not there, or can't take writes" is raised as StoreUnavailable; a command is never
    repeated by itself, because its outcome is unknown then and only the caller knows what that means.
    """

    def __init__(self, client: Any, *, cluster: bool = False) -> None:
        self.client = client
        self.cluster = cluster
        self.problem: str | None = None

    def keys(self, queue: str) -> QueueKeys:
        """The keys of a queue in this Redis."""
        return QueueKeys(queue, self.cluster)

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """What `script` answers. It is sent whole when the server doesn't know it yet."""
        with self._watching():
            try:
                return await self.client.execute_command("EVALSHA", script.sha, len(keys), *keys, *args)
            except exceptions.NoScriptError:
                return await self.client.execute_command("EVAL", script.source, len(keys), *keys, *args)

    async def command(self, *parts: Any) -> Any:
        """What a single command answers, as redis-py shapes it. On a Cluster its first key says where it goes."""
        with self._watching():
            return await self.client.execute_command(*parts)

    async def pop_blocking(self, key: str, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for an element of the list `key`, take it, and say whether there was one.

        Redis looks at its time-outs ten times a second: it may take a tenth longer.
        """
        with self._watching():
            return (
                await self.client.execute_command("BLPOP", key, f"{max(timeout_s, _SHORTEST_BLOCK_S):.3f}") is not None
            )

    async def identity(self) -> str:
        """A name of the server's data: it changes when another server answers (restart, fail-over)."""
        with self._watching():
            if self.cluster:
                await self.client.initialize()
                return " ".join(sorted(node.name for node in self.client.get_primaries()))
            info: dict[str, Any] = await self.client.info("server")
            return str(info.get("run_id", ""))

    @staticmethod
    def outcome_unknown(error: StoreUnavailable) -> bool:
        """Whether the command that raised `error` may have been carried out all the same.

        Not so when the server refused it, or no connection came about.
        """
        cause = error.__cause__
        text = str(cause)
        refused = isinstance(cause, exceptions.ResponseError | exceptions.ReadOnlyError | ConnectionRefusedError)
        return not (refused or "connecting to" in text or "No master found" in text)

    async def close(self) -> None:
        """Give every connection back."""
        with contextlib.suppress(*_AWAY):
            await self.client.aclose()

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except _AWAY as error:
            self.problem = str(error) or type(error).__name__
            raise StoreUnavailable("redis", self.problem) from error
        except exceptions.ResponseError as error:
            text = str(error)
            if not any(code in text for code in _AWAY_CODES):
                raise
            self.problem = text
            raise StoreUnavailable("redis", text) from error
        else:
            self.problem = None


def connect(settings: RedisSettings) -> Redis:
    """The Redis that `settings` name. Nothing is sent before the first command."""
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
        # Unless it is told, redis-py 5 takes any good certificate, whatever host it is for.
        shared["ssl_check_hostname"] = True
    if settings.redis_cluster:
        # Its own retries would repeat a script whose outcome is unknown. It takes no other connections than its own.
        cluster = RedisCluster(
            host=settings.redis_host, port=settings.redis_port, ssl=tls, cluster_error_retry_attempts=1, **shared
        )
        return Redis(cluster, cluster=True)
    # Only connecting is retried: without `retry_on_error` a command that was sent is not.
    shared["retry"] = Retry(ExponentialBackoff(cap=0.2, base=0.02), 2)
    if settings.redis_sentinels:
        make: Any = Sentinel  # redis-py gives its constructor no types
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


def settings_from_url(url: str) -> RedisSettings:
    """The settings that `redis[s]://[user[:password]@]host[:port][/database]` means."""
    parts = urlsplit(url)
    return RedisSettings(
        redis_host=parts.hostname or "127.0.0.1",
        redis_port=parts.port or 6379,
        redis_username=unquote(parts.username) if parts.username else None,
        redis_password=Secret(unquote(parts.password)) if parts.password else None,
        redis_db=int(parts.path.strip("/") or 0),
        redis_tls=parts.scheme == "rediss",
    )


def connect_url(url: str) -> Redis:
    """`connect` for an address in one piece."""
    return connect(settings_from_url(url))
