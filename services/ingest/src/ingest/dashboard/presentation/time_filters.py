"""The filters `since` and `until`: a control for a local time writes no zone, so it is the reader's."""

from datetime import datetime
from typing import Final

from ingest.dashboard.presentation.texts import Reader

NAMES: Final = ("since", "until")


def with_zone(reader: Reader, text: str) -> str:
    """Returns the time as the API reads it. A text that is no time is returned as it is: the API explains what is
    wrong."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.replace(tzinfo=moment.tzinfo or reader.zone).isoformat()


def local_time(reader: Reader, text: str) -> str:
    """Returns the time as its control shows it: without a zone, in that of the reader. Empty for what is no time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return ""
    if moment.tzinfo is not None:
        moment = moment.astimezone(reader.zone)
    is_whole = moment.second == moment.microsecond == 0
    return moment.replace(tzinfo=None).isoformat(timespec="minutes" if is_whole else "auto")
