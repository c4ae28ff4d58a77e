"""Limits per address: requests, and failed authentications at one webhook."""

import time
from collections.abc import Callable

from filas.observability.logs import get_logger
from ingest.http import error_answers
from ingest.http.client_address import is_loopback
from ingest.http.load_shedding import address_key
from ingest.receive.rate_limit import Limit, RateLimiter

log = get_logger(__name__)

MINUTE_MS = 60_000
MAX_BLOCKED = 10_000


class AddressLimits:
    """Counts requests by address, and failed authentications by webhook and address, across replicas.

    Loopback is not counted. A client with an IPv6 address has a whole /64 network and is counted by it. Both limits are
    per minute; 0 means no limit. Failures at one webhook do not block an address at another one: behind a proxy that is
    not trusted, all senders have one address.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        *,
        requests_a_minute: int,
        failures_a_minute: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limiter = limiter
        self._requests = requests_a_minute
        self._failures = failures_a_minute
        self._clock = clock
        self._blocked: dict[tuple[str, str], float] = {}

    @property
    def counts_requests(self) -> bool:
        """Whether `admit` could reject an address."""
        return self._requests > 0

    async def admit(self, address: str) -> None:
        """Counts a request. Raises the 429 for an address beyond the limit of requests."""
        if self._requests and not is_loopback(address):
            grant = await self._limiter.acquire(Limit(f"ip:{address_key(address)}", self._requests, MINUTE_MS))
            if not grant.allowed:
                raise error_answers.too_many("address-limit", "too many requests from this address", grant.reset_s)

    def reject_blocked(self, webhook_id: str, address: str) -> None:
        """Raises the 429 if the address has failed too often at the webhook."""
        if not self._blocked:
            return
        key = webhook_id, address_key(address)
        until = self._blocked.get(key)
        if until is None:
            return
        remaining = until - self._clock()
        if remaining > 0:
            raise error_answers.too_many("auth-failures", "too many failed authentications", int(remaining) + 1)
        del self._blocked[key]

    async def record_failure(self, address: str, webhook_id: str, reason: str) -> None:
        """Counts and logs a failed authentication. Beyond the limit, the address is blocked at the webhook until there
        is room."""
        log.warning("webhook.unauthenticated", address=address, webhook_id=webhook_id, reason=reason)
        if not self._failures or is_loopback(address):
            return
        client = address_key(address)
        grant = await self._limiter.acquire(Limit(f"auth:{webhook_id}:{client}", self._failures, MINUTE_MS))
        if not grant.allowed or grant.remaining == 0:
            if len(self._blocked) >= MAX_BLOCKED:
                self._blocked.clear()
            self._blocked[webhook_id, client] = self._clock() + grant.reset_s
            log.warning("webhook.address_blocked", address=address, webhook_id=webhook_id, seconds=grant.reset_s)
