"""Checks the index of the words in events."""

from typing import Final

from filas.doctor.sentences import finding, sentence
from filas.doctor.stores import Checked, DoctorStores
from filas.models.findings import Subject
from filas.repository.search.index_state import MAX_COUNTED, read_search_state

POSTGRES: Final = Subject(kind="postgres")


async def check_search(stores: DoctorStores) -> Checked:
    """Raises StoreUnavailable."""
    state = await read_search_state(stores.database)
    checked = Checked(f"{state.behind_s:.0f} s behind; indexed events: {state.events}, segments: {state.segments}")
    if state.behind_s > stores.settings.search_behind_s:
        is_more = state.behind_events >= MAX_COUNTED
        number = sentence("doctor.more-than", number=MAX_COUNTED) if is_more else state.behind_events
        checked.findings.append(
            finding(
                "search-index-behind",
                "warning",
                POSTGRES,
                sentence("doctor.search-index-behind", number=number, age_s=state.behind_s),
                sentence("doctor.search-index-behind-remedy"),
                evidence={
                    "behindS": round(state.behind_s),
                    "behindEvents": state.behind_events,
                    "built": state.built,
                    "indexedUntil": None if state.indexed_until is None else state.indexed_until.isoformat(),
                },
            )
        )
    return checked
