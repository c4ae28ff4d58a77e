"""The sentences of errors: what went wrong with a request to the API, and which command to try next."""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit

from filas.cli import credentials

_LISTED: Final = (
    "alerts", "channels", "conversations", "dead-letters", "events", "executions", "flows", "keys", "notifications",
    "schedules", "secrets", "webhooks",
)  # fmt: skip
"""The parts of the API whose ids a command lists."""

_WITH_TABLES: Final = (("flows",), ("schedules",))
"""The parts whose commands print the errors of a definition as a table."""

_MORE: Final = re.compile(r" \(and \d+ more\)$")
_DETAILS: Final = 8


def unreachable(url: str, error: Exception) -> str:
    """Returns the sentence for an API that cannot be reached."""
    reason = getattr(error, "reason", error) if isinstance(error, URLError) else error
    place = urlsplit(url).netloc.rpartition("@")[2]
    if isinstance(reason, TimeoutError):
        return f"{place} accepts connections, but does not answer: `filas doctor` shows which process hangs."
    if isinstance(reason, ConnectionRefusedError):
        return f"nothing answers at {place}: is `make up` (or `ingest admin`) running? `filas doctor` shows what runs."
    text = getattr(reason, "strerror", None) or str(reason)
    return f"{place} cannot be reached ({text}): is {credentials.URL_VARIABLE} the address of `ingest admin`?"


def other_program(url: str) -> str:
    """Returns the sentence for an address at which something else answers."""
    return f"{url} answers, but it is not the API of Filas: {credentials.URL_VARIABLE} or `filas login` sets another."


def not_accepted(source: str) -> str:
    """Returns the sentence for a key that the API does not know."""
    if source == credentials.ADMIN_VARIABLE:
        return (
            "the API does not accept FILAS_ADMIN_TOKEN: it is not the token of this installation. "
            "After `make up`, `set -a; . .filas/env` sets it."
        )
    return (
        f"the API does not accept {source}: it is revoked, expired or of another installation. "
        "`filas login` stores another."
    )


def refused(problem: Mapping[str, Any], status: int, path: tuple[str, ...]) -> str:
    """Returns the sentence for a problem document, with its errors by field. Raises KeyError for another document."""
    known = str(problem["detail"])
    sentence = f"{problem['title']}: {known}"
    advice = _next_command(status, path, problem)
    errors = [one for one in problem.get("errors") or [] if isinstance(one, dict) and one.get("message")]
    further = [_field(one) for one in errors if str(one["message"]) not in known]
    if further and path[:1] not in _WITH_TABLES:
        sentence = _MORE.sub("", sentence)
        more = f"; and {len(further) - _DETAILS} more" if len(further) > _DETAILS else ""
        sentence += f" ({'; '.join(further[:_DETAILS])}{more})"
    return f"{sentence}. {advice}" if advice else sentence


def _field(error: Mapping[str, Any]) -> str:
    place = ".".join(str(error[name]) for name in ("nodeId", "field") if error.get(name))
    return f"{place}: {error['message']}" if place else str(error["message"])


def _next_command(status: int, path: tuple[str, ...], problem: Mapping[str, Any]) -> str | None:
    noun = path[0] if path else ""
    if status == 403:
        return "`filas keys current` shows which key is used."
    if status == 404 and noun == "jobs":
        return "`filas jobs list QUEUE` lists them; a finished job is forgotten after a while."
    if status == 404 and noun in _LISTED:
        return f"`filas {noun} list` lists them."
    if status == 409 and problem.get("references"):
        return "`--force` deletes it nevertheless."
    if status == 503:
        return "`filas doctor` shows what is wrong."
    return None
