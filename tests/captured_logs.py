"""The events that the code under test logs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from filas.observability import logs


@contextmanager
def captured_logs() -> Iterator[list[dict[str, Any]]]:
    """Yields a list that gets each event of the block, of every level: its fields, its name as `event` and its level as
    `log_level`. Nothing is written meanwhile."""
    events: list[dict[str, Any]] = []

    def keep(level: str, event: str, fields: dict[str, Any]) -> None:
        events.append({**fields, "event": event, "log_level": level})

    with logs.redirected(logs.LogOutput(logging.NOTSET, keep)):
        yield events
