"""Records refused requests: a line in the log for each webhook and reason once a minute, and rows for the API.

A flood of refused requests must not cost much. Only some requests a minute are stored; all are counted. They wait in
memory, their secrets are hidden and they are written in the background.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from filas.contract.identity import new_id
from filas.contract.storable_text import header_text, to_storable
from filas.errors import StoreUnavailable
from filas.models.refusals import NewRefusal
from filas.observability.logs import get_logger
from filas.observability.metrics import REFUSALS_UNRECORDED
from filas.repository.postgres.json_columns import to_json
from ingest.http.client_address import UNKNOWN
from ingest.http.error_answers import RejectedRequest
from ingest.http.request import Request, stored_headers, stored_query
from ingest.receive import refused_content
from ingest.receive.webhook_cache import ReadyWebhook

log = get_logger(__name__)

MINUTE_S: Final = 60.0
SAME_PER_MINUTE: Final = 20
"""How many requests with the same webhook (or the same unknown path) and the same reason are stored in a minute."""

ALL_PER_MINUTE: Final = 300
UNKNOWN_PER_MINUTE: Final = 120
"""How many are stored in a minute, and how many of those whose path has no webhook: anyone can send those."""

MAX_WAITING: Final = 200
MAX_BATCH: Final = 50
PAUSE_S: Final = 0.2
RETRY_S: Final = 2.0
CLOSE_S: Final = 1.0

_TEXT: Final = 300
_MAX_SIZE: Final = 2**63 - 1
_NONE: Final[frozenset[str]] = frozenset()


class RefusalStore(Protocol):
    """The table of refusals (`RefusalRepository`)."""

    async def insert_many(self, refusals: Sequence[NewRefusal]) -> None:
        """Stores the refusals. Raises StoreUnavailable."""

    async def delete_oldest(self) -> None:
        """Deletes the oldest refusals beyond the bound of the table. Raises StoreUnavailable."""


@dataclass(slots=True)
class _Waiting:
    """A refused request that is not stored yet. The fields after `detail` are empty for one that can't be parsed.
    It holds neither the request nor the exception, whose traceback holds the request: the body may be large."""

    at: datetime
    ready: ReadyWebhook | None
    address: str
    status: int
    reason: str
    detail: str
    method: str = ""
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    beginning: bytes = b""
    size: int = 0


@dataclass(slots=True)
class _Logged:
    """The requests of one webhook and reason since the last line of the log. No line is due before `next_at`."""

    next_at: float
    count: int
    status: int
    address: str


class RefusalRecorder:
    """Keeps refused requests until they are stored. `run()` must be running; `close()` stores the last ones."""

    def __init__(self, store: RefusalStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._has_waiting = asyncio.Event()
        self._logged: dict[tuple[str | None, str], _Logged] = {}
        self._stored: Counter[tuple[str, str]] = Counter()
        self._stored_all = self._stored_unknown = 0
        self._minute_ends = 0.0
        self._next_deletion = 0.0

    def add(self, http: Request, rejection: RejectedRequest, ready: ReadyWebhook | None, address: str) -> None:
        """Records a refused request, `ready` is its webhook. A 503 is not recorded: the sender repeats the request."""
        if rejection.status < 500:
            self._add(http, rejection, ready, address)

    def add_malformed(self, remote: str | None, rejection: RejectedRequest) -> None:
        """Records a request that can't be parsed."""
        if rejection.status < 500:
            self._add(None, rejection, None, remote or UNKNOWN)

    def _add(self, http: Request | None, rejection: RejectedRequest, ready: ReadyWebhook | None, address: str) -> None:
        now = self._clock()
        path = "" if http is None else http.path[:_TEXT]
        self._count(None if ready is None else ready.webhook.id, rejection, address, now)
        if not self._is_stored(None if ready is None else ready.webhook.id, path, rejection.outcome, now):
            REFUSALS_UNRECORDED.labels("limit").inc()
        elif len(self._waiting) >= MAX_WAITING:
            REFUSALS_UNRECORDED.labels("queue").inc()
        else:
            cause = rejection.cause
            detail = rejection.detail if cause is None else f"{cause}: {rejection.detail}"
            at = datetime.now(UTC)
            waiting = _Waiting(at, ready, address, rejection.status, rejection.outcome, detail)
            if http is not None:
                declared = http.declared_length
                waiting.method, waiting.path, waiting.headers, waiting.query = (
                    http.method,
                    path,
                    http.headers,
                    http.query,
                )
                waiting.beginning = http.read_beginning(refused_content.MAX_BYTES + refused_content.MARGIN)
                waiting.size = http.received_bytes if declared is None else declared
            self._waiting.append(waiting)
            self._has_waiting.set()

    def _is_stored(self, webhook_id: str | None, path: str, outcome: str, now: float) -> bool:
        if now >= self._minute_ends:
            self._stored.clear()
            self._stored_all = self._stored_unknown = 0
            self._minute_ends = now + MINUTE_S
        key = webhook_id or f"/{path}", outcome  # no id of a webhook starts with a slash
        if self._stored[key] >= SAME_PER_MINUTE or self._stored_all >= ALL_PER_MINUTE:
            return False
        if webhook_id is None:
            if self._stored_unknown >= UNKNOWN_PER_MINUTE:
                return False
            self._stored_unknown += 1
        self._stored[key] += 1
        self._stored_all += 1
        return True

    # ---- the log -----------------------------------------------------------------------------------------------

    def _count(self, webhook_id: str | None, rejection: RejectedRequest, address: str, now: float) -> None:
        key = webhook_id, rejection.outcome
        known = self._logged.get(key)
        if known is None:
            known = self._logged[key] = _Logged(now, 0, rejection.status, address)
        known.count += 1
        if now >= known.next_at:
            known.address = address
            _log(key, known, now)

    def log_due(self) -> None:
        """Logs the requests that were refused since the last line of their webhook and reason, if a minute is over."""
        now = self._clock()
        for key, known in [(key, known) for key, known in self._logged.items() if now >= known.next_at]:
            if known.count:
                _log(key, known, now)
            else:
                del self._logged[key]

    # ---- the rows ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Stores the refusals that wait, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(MINUTE_S / 4):
                    await self._has_waiting.wait()
            self.log_due()
            if not self._waiting:
                # It is still set after a batch that could not be stored. The next wait would return without a pause.
                self._has_waiting.clear()
                continue
            try:
                await asyncio.sleep(PAUSE_S)
                await self._write_all()
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
            except Exception as error:  # the requests were answered
                log.error("refusal.not_recorded", exc_info=error)
                await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Logs and stores what waits, within a second."""
        for key, known in self._logged.items():
            if known.count:
                _log(key, known, self._clock())
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._write_all()

    async def _write_all(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
            try:
                rows = []
                for one in batch:
                    rows.append(_row(one))
                    await asyncio.sleep(0)  # to hide secrets takes up to a millisecond
                await self._store.insert_many(rows)
            except (StoreUnavailable, asyncio.CancelledError):
                self._waiting.extendleft(reversed(batch))
                raise
            except Exception:
                REFUSALS_UNRECORDED.labels("store").inc(len(batch))
                raise
        self._has_waiting.clear()
        if self._clock() >= self._next_deletion:
            self._next_deletion = self._clock() + MINUTE_S
            await self._store.delete_oldest()


def _log(key: tuple[str | None, str], known: _Logged, now: float) -> None:
    webhook_id, reason = key
    log.warning(
        "webhook.refused",
        webhook_id=webhook_id,
        reason=reason,
        status=known.status,
        count=known.count,
        address=known.address,
    )
    known.count, known.next_at = 0, now + MINUTE_S


def _row(one: _Waiting) -> NewRefusal:
    ready = one.ready
    redactor = refused_content.redactor_of(() if ready is None else ready.secrets)
    headers, query = stored_headers(one.headers, _NONE), stored_query(one.query, _NONE)
    hidden = _NONE if ready is None else ready.hidden_headers
    hidden_query = _NONE if ready is None else ready.hidden_query
    content_type, encoding = headers.get("content-type", ""), headers.get("content-encoding", "")
    return NewRefusal(
        id=new_id(),
        received_at=one.at,
        webhook_id=None if ready is None else ready.webhook.id,
        path=redactor.text(header_text(one.path)),
        method=one.method[:_TEXT],
        address=one.address,
        status=one.status,
        reason=one.reason,
        detail=redactor.text(to_storable(one.detail)[: 2 * _TEXT]),
        size=min(one.size, _MAX_SIZE),
        headers=to_json(refused_content.shown_headers(headers, hidden, redactor)),
        query_params=to_json(refused_content.shown_query(query, hidden_query, redactor)),
        body=refused_content.shown_body(one.beginning, content_type, encoding, redactor),
    )
