"""Counts and logs duplicates that are not a plain repetition of the first request."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from filas.models.events import EventReceipt, NewEvent
from filas.observability.logs import get_logger
from filas.observability.metrics import WEBHOOK_DUPLICATES
from ingest.receive.duplicate_recorder import DuplicateRecorder

log = get_logger(__name__)

LOG_EVERY_S = 60.0
MAX_PAUSES = 1000

_repeated = WEBHOOK_DUPLICATES.labels("repeated")


@dataclass(slots=True)
class _Pause:
    """Until when a log event of one webhook is not logged again, and how often it has happened since."""

    until: float
    count: int = 0


class DuplicateReports:
    """Counts each duplicate by its kind. A conflict or a replay is also logged, once per webhook and minute, with the
    number since the last log event.

    | kind | the request has |
    |---|---|
    | `repeated` | the duplicate key and the content of the first one |
    | `conflict` | the duplicate key of the first one, and another content |
    | `replayed` | the signed content of the first one, and another duplicate key, which is not signed |
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, recorder: DuplicateRecorder | None = None) -> None:
        self._clock = clock
        self._recorder = recorder
        self._pauses: dict[tuple[str, str], _Pause] = {}

    def report(self, event: NewEvent, first: EventReceipt) -> None:
        """Reports that `event` is a duplicate of `first`."""
        if self._recorder is not None:
            self._recorder.add(first.id, conflict=first.conflict)
        if first.conflict:
            WEBHOOK_DUPLICATES.labels("conflict").inc()
            count = self._count(event.webhook_id, "conflict")
            if count:
                log.warning(
                    "webhook.key_conflict", webhook_id=event.webhook_id, event_id=str(first.id), conflicts=count
                )
        elif first.id != event.id:
            WEBHOOK_DUPLICATES.labels("replayed").inc()
            count = self._count(event.webhook_id, "replayed")
            if count:
                log.warning("webhook.replayed", webhook_id=event.webhook_id, event_id=str(first.id), replays=count)
        else:
            _repeated.inc()

    def _count(self, webhook_id: str, kind: str) -> int:
        """Returns the number of such duplicates since the last log event; 0 while none is logged."""
        now = self._clock()
        pause = self._pauses.get((webhook_id, kind))
        if pause is not None and now < pause.until:
            pause.count += 1
            return 0
        if len(self._pauses) >= MAX_PAUSES:
            self._pauses.clear()
        self._pauses[webhook_id, kind] = _Pause(now + LOG_EVERY_S)
        return 1 if pause is None else pause.count + 1
