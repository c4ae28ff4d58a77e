"""Checks the index of the words in events."""

from typing import Final

from filas.doctor.stores import Checked, DoctorStores
from filas.models.findings import Finding, Subject
from filas.repository.search.index_state import MAX_COUNTED, read_search_state

POSTGRES: Final = Subject(kind="postgres")


async def check_search(stores: DoctorStores) -> Checked:
    """Raises StoreUnavailable."""
    state = await read_search_state(stores.database)
    checked = Checked(f"{state.events} events in {state.segments} segments, {state.behind_s:.0f} s behind")
    if state.behind_s > stores.settings.search_behind_s:
        count = f"more than {MAX_COUNTED}" if state.behind_events >= MAX_COUNTED else str(state.behind_events)
        checked.findings.append(
            Finding(
                code="search-index-behind",
                severity="warning",
                subject=POSTGRES,
                message=f"{count} events of the last {state.behind_s:.0f} s are not in the index of words:"
                " searches for them are slow",
                remedy="wait if the index was just created or an outage has ended; otherwise look in the log of"
                " `ingest admin` for `search-index`",
                evidence={
                    "behindS": round(state.behind_s),
                    "behindEvents": state.behind_events,
                    "built": state.built,
                    "indexedUntil": None if state.indexed_until is None else state.indexed_until.isoformat(),
                },
            )
        )
    return checked
