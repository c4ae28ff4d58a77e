"""The secrets of flows in plain text, read again every few seconds at most."""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from filas.errors import SecretUnreadable
from filas.observability import logs
from filas.periodic import periodic

log = logs.get_logger(__name__)

FRESH_S = 2.0
"""A changed secret is used at most this many seconds later, and a new one at once."""


REPORT_EVERY_S = 60.0
"""How often all secrets are read for the log, also if no flow uses one."""


class SealedSecrets(Protocol):
    """The part of the repository that holds encrypted secrets."""

    async def all(self) -> dict[str, str]: ...


class FlowSecrets:
    """Reveals all secrets at once. A secret that cannot be read is left out, so that only the flows that use it fail,
    with an error that names it."""

    def __init__(
        self,
        sealed: SealedSecrets,
        reveal: Callable[[str], str],
        monotonic: Callable[[], float],
        fresh_s: float = FRESH_S,
    ) -> None:
        self._sealed = sealed
        self._reveal = reveal
        self._monotonic = monotonic
        self._fresh_s = fresh_s
        self._read_at: float | None = None
        self._known: Mapping[str, str] = {}
        self._reported: dict[str, str] = {}

    async def revealed(self, needed: Collection[str] = ()) -> Mapping[str, str]:
        now = self._monotonic()
        is_fresh = self._read_at is not None and now - self._read_at < self._fresh_s
        if not is_fresh or not self._known.keys() >= set(needed):
            self._known = self._open(await self._sealed.all())
            self._read_at = now
        return self._known

    async def report_unreadable(self) -> None:
        """Logs a warning for each secret that cannot be read, at the start of the process and when that changes. Runs
        until it is cancelled."""
        await periodic("flow-secrets", self._read, REPORT_EVERY_S)

    async def _read(self) -> None:
        await self.revealed()

    def _open(self, sealed: dict[str, str]) -> dict[str, str]:
        opened: dict[str, str] = {}
        unreadable: dict[str, str] = {}
        for name, value in sealed.items():
            try:
                opened[name] = self._reveal(value)
            except SecretUnreadable as error:
                unreadable[name] = str(error)
                if self._reported.get(name) != str(error):
                    log.warning("secret.unreadable", name_of_secret=name, reason=str(error))
        self._reported = unreadable
        return opened
