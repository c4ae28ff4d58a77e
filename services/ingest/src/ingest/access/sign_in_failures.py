"""Counts failed sign-ins by address and minute: for the audit, and for the limit beyond which they are answered 429."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from filas.models.access import SignInFailures
from ingest.http.client_address import is_loopback
from ingest.http.load_shedding import address_key

MINUTE_S: Final = 60
MAX_ADDRESSES: Final = 1000
"""How many addresses are counted alone in a minute. Those of further ones are counted together, as OTHER."""

OTHER: Final = "other"


@dataclass(slots=True)
class _Counted:
    total: int = 0
    unwritten: int = 0
    last_s: float = 0.0


class FailedSignIns:
    """The failed sign-ins of the present minute, and those before it that are not written yet.

    `limit` is the number of failures of one address in a minute that are answered 401; 0: no limit. A client with an
    IPv6 address is counted by its /64 network. Loopback is never limited.
    """

    def __init__(self, limit: int, *, clock: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._clock = clock
        self._minutes: dict[int, dict[str, _Counted]] = {}

    def record(self, address: str) -> int:
        """Counts a failure. Returns the seconds until the address may fail again; 0: it is not beyond the limit."""
        now = self._clock()
        minute = int(now // MINUTE_S)
        counts = self._minutes.setdefault(minute, {})
        known = address_key(address) or OTHER
        if known not in counts and len(counts) >= MAX_ADDRESSES:
            known = OTHER
        counted = counts.setdefault(known, _Counted())
        counted.total += 1
        counted.unwritten += 1
        counted.last_s = now
        if not self._limit or counted.total <= self._limit or is_loopback(address):
            return 0
        return int((minute + 1) * MINUTE_S - now) + 1

    def unwritten(self) -> list[SignInFailures]:
        """The failures that are not written yet. Counts them as written: `restore` undoes that."""
        found = []
        for minute, counts in self._minutes.items():
            at = datetime.fromtimestamp(minute * MINUTE_S, UTC)
            for address, counted in counts.items():
                if counted.unwritten:
                    last_at = datetime.fromtimestamp(counted.last_s, UTC)
                    found.append(SignInFailures(at=at, last_at=last_at, address=address, count=counted.unwritten))
                    counted.unwritten = 0
        present = int(self._clock() // MINUTE_S)
        self._minutes = {minute: counts for minute, counts in self._minutes.items() if minute >= present}
        return found

    def restore(self, failures: list[SignInFailures]) -> None:
        """Counts failures as not written. Those of more than an hour ago are dropped: Postgres is unavailable."""
        oldest = datetime.fromtimestamp(self._clock(), UTC) - timedelta(hours=1)
        for one in failures:
            if one.at >= oldest:
                counts = self._minutes.setdefault(int(one.at.timestamp()) // MINUTE_S, {})
                counted = counts.setdefault(one.address, _Counted())
                counted.unwritten += one.count
                counted.last_s = max(counted.last_s, one.last_at.timestamp())
