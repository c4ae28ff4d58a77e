"""Limits per address: requests, and failed authentications."""

import time

from filas.observability.logs import get_logger
from ingest.http import error_answers
from ingest.http.client_address import is_loopback
from ingest.receive.rate_limit import Limit, RateLimiter

log = get_logger(__name__)

MINUTE_MS = 60_000
MAX_BLOCKED = 10_000


class AddressLimits:
    """Counts requests and failed authentications by address, across replicas. Loopback is not counted.

    Both limits are per minute; 0 means no limit.
    """

    def __init__(self, limiter: RateLimiter, *, requests_a_minute: int, failures_a_minute: int) -> None:
        self._limiter = limiter
        self._requests = requests_a_minute
        self._failures = failures_a_minute
        self._blocked: dict[str, float] = {}

    @property
    def is_active(self) -> bool:
        """Whether `admit` could reject an address now."""
        return bool(self._blocked or self._requests)

    async def admit(self, address: str) -> None:
        """Raises the 429 for an address beyond a limit."""
        until = self._blocked.get(address)
        if until is not None:
            remaining = until - time.monotonic()
            if remaining > 0:
                raise error_answers.too_many("auth-failures", "too many failed authentications", int(remaining) + 1)
            del self._blocked[address]
        if self._requests and not is_loopback(address):
            grant = await self._limiter.acquire(Limit(f"ip:{address}", self._requests, MINUTE_MS))
            if not grant.allowed:
                raise error_answers.too_many("address-limit", "too many requests from this address", grant.reset_s)

    async def record_failure(self, address: str, webhook_id: str, reason: str) -> None:
        """Counts and logs a failed authentication. Beyond the limit, the address is rejected until there is room."""
        log.warning("webhook.unauthenticated", address=address, webhook_id=webhook_id, reason=reason)
        if not self._failures or is_loopback(address):
            return
        grant = await self._limiter.acquire(Limit(f"auth:{address}", self._failures, MINUTE_MS))
        if not grant.allowed or grant.remaining == 0:
            if len(self._blocked) >= MAX_BLOCKED:
                self._blocked.clear()
            self._blocked[address] = time.monotonic() + grant.reset_s
