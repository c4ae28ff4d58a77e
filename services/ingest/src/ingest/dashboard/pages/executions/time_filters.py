"""The filters `since` and `until`: a control for a local time writes no zone, so it is the reader's."""

from datetime import datetime
from typing import Final

from ingest.dashboard.page_types import PageCall

NAMES: Final = ("since", "until")


def with_zone(call: PageCall, text: str) -> str:
    """The time as the API reads it. A text that is no time is returned as it is: the API explains what is wrong."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.replace(tzinfo=moment.tzinfo or call.reader.zone).isoformat()


def local_times(call: PageCall) -> dict[str, str]:
    """The filters as the controls show them: without a zone, in that of the reader."""
    shown = {}
    for name in NAMES:
        text = call.query.get(name, "")
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            shown[name] = ""
            continue
        if moment.tzinfo is not None:
            moment = moment.astimezone(call.reader.zone)
        shown[name] = moment.replace(tzinfo=None).isoformat(timespec="minutes")
    return shown
