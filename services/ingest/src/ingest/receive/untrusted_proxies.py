"""Detects a proxy that `TRUSTED_PROXIES` does not list: behind it, all senders have the proxy's address.

The public process notices it and writes the proxy's address to Redis, from where the doctor reads it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final

from filas.errors import StoreUnavailable
from filas.observability.logs import get_logger
from filas.queue.redis_client.connection import Redis
from ingest.http.client_address import ClientAddress, normalized

log = get_logger(__name__)

KEY: Final = "filas:untrusted-proxy"
KEPT_S: Final = 3600
"""How long the doctor reports a proxy after the last request through it."""

EVERY_S: Final = 60.0


class UntrustedProxies:
    """Reports at most one proxy a minute, in the log and in Redis.

    A sender can send the header of a proxy itself. Where proxies are trusted, only private addresses are therefore
    reported; they can be no sender's.
    """

    def __init__(self, addresses: ClientAddress, redis: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self.addresses = addresses
        self._redis = redis
        self._clock = clock
        self._next_at = 0.0
        self._writing: set[asyncio.Task[None]] = set()

    def notice(self, peer: str, headers: Mapping[str, str]) -> None:
        """Reports the peer of a request if the request came through a proxy that is not trusted."""
        if "X-Forwarded-For" not in headers and "Forwarded" not in headers:
            return
        if self._clock() < self._next_at or not self._is_unknown(peer):
            return
        self._next_at = self._clock() + EVERY_S
        log.warning("client_address.untrusted_proxy", peer=peer, variable="TRUSTED_PROXIES")
        task = asyncio.get_running_loop().create_task(self._write(peer))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    def _is_unknown(self, peer: str) -> bool:
        address = normalized(peer)
        if address is None or self.addresses.is_trusted(address):
            return False
        return not self.addresses.has_proxies or ip_address(address).is_private

    async def _write(self, peer: str) -> None:
        try:
            await self._redis.command("SET", KEY, peer, "EX", KEPT_S)
        except StoreUnavailable as error:  # the log has it
            log.debug("client_address.report_failed", reason=error.reason)


async def read_untrusted_proxy(redis: Redis) -> str | None:
    """Returns the address of the last untrusted proxy within an hour; None if there was none. Raises
    StoreUnavailable."""
    found = await redis.command("GET", KEY)
    return None if found is None else found.decode("utf-8", "replace")
