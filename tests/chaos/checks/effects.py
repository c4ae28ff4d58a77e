"""Each message is written once and arrives, and each effect outside has one key."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from tests.chaos.evidence import Evidence
from tests.chaos.flows import ASK, BROKEN, ORDER, PARENT, SURVEY

MESSAGES_OF: Final = {ORDER: 1, PARENT: 1, ASK: 2, SURVEY: 1, BROKEN: 0}
"""How many messages a successful execution sends."""


def no_message_is_missing(evidence: Evidence) -> Iterator[str]:
    """A successful execution has all of its messages. A message that counts as delivered has arrived."""
    written = Counter(one.execution_id for one in evidence.notifications)
    arrived = {one.key for one in evidence.messages if one.answered_well}
    by_event = {one.event_id: one for one in evidence.sent}
    for execution in evidence.executions:
        sent = by_event.get(execution.event_id or "")
        if sent is None or execution.status != "succeeded" or execution.resumed_id is not None:
            continue
        if written[execution.id] != MESSAGES_OF[sent.flow]:
            yield f"execution {execution.id} of {sent.name} ({sent.flow}) has {written[execution.id]} messages"
    for one in evidence.notifications:
        if one.status in ("delivered", "sent") and one.key not in arrived:
            yield f"message {one.id} counts as {one.status} and did not arrive"
        if one.status not in ("delivered", "sent", "failed", "cancelled"):
            yield f"message {one.id} is {one.status}"


def each_effect_has_one_key(evidence: Evidence) -> Iterator[str]:
    """A message or call that is repeated has the same key and content; no two steps share one."""
    known = {one.key for one in evidence.notifications}
    contents: dict[str, bytes] = {}
    for one in evidence.messages:
        if one.key not in known:
            yield f"a message arrived under the unknown key {one.key!r}"
        if contents.setdefault(one.key, one.body) != one.body:
            yield f"two messages arrived under the key {one.key!r}"
    keys: dict[tuple[str, str], str] = {}
    for one in evidence.calls:
        execution = str(json_object(one.body).get("execution"))
        if keys.setdefault((execution, one.path), one.key) != one.key:
            yield f"execution {execution} called {one.path} under two keys"


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; an empty one if there is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
