"""Times in queries and bodies."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from ingest.api.routing.problems import invalid_field

Moment = Annotated[datetime, msgspec.Meta(tz=True, description="ISO 8601 with a zone, such as 2026-11-22T12:00:00Z.")]

DEFAULT_TIME = timedelta(hours=24)


def searched_time(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """Returns the beginning and the end of a search: by default the 24 hours before `until`, which is now by default.
    Raises the 422 if nothing is between them."""
    end = until or datetime.now(UTC)
    begin = since or end - DEFAULT_TIME
    if begin >= end:
        raise invalid_field("since", "must be earlier than `until`")
    return begin, end
