"""What operators have stored is what is used."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from tests.chaos.actions import Action, confirmed
from tests.chaos.evidence import Evidence, settled
from tests.chaos.flows import TICK

KNOWN_S: Final = 2.0
"""How long after an edit of a webhook or channel the processes may use the former definition. Their caches reflect it
within a second."""


def an_execution_has_the_published_version(evidence: Evidence) -> Iterator[str]:
    """An execution that begins after a version was confirmed has this version or a later one, and every version that an
    execution has was stored before it. A replay may have an older one."""
    versions = {(one.flow_id, one.version): one for one in evidence.versions}
    published: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for action, at in confirmed(evidence.actions, "edit"):
        if action.operation == "putFlow":
            published[action.name].append((at, action.answer["version"]))
    for one in evidence.executions:
        version = versions.get((one.flow_id, one.version))
        if version is None or version.created_at > one.queued_at:
            yield f"execution {one.id} of {one.flow_id} has version {one.version}, which did not exist"
        at_least = max((number for at, number in published[one.flow_id] if at < one.queued_at), default=0)
        if one.replay_of is None and one.version < at_least:
            yield f"execution {one.id} of {one.flow_id} has version {one.version} after {at_least} was published"


def a_message_has_the_text_of_its_version(evidence: Evidence) -> Iterator[str]:
    """The text of each message is one of those in the version of its execution."""
    patterns = {(one.flow_id, one.version): _texts(json.loads(one.definition)) for one in evidence.versions}
    executions = {one.id: one for one in evidence.executions}
    for one in evidence.notifications:
        execution = executions.get(one.execution_id or "")
        if execution is None or one.text is None:
            yield f"message {one.id} has no execution or no text"
        elif not any(each.fullmatch(one.text) for each in patterns.get((execution.flow_id, execution.version), ())):
            yield f"message {one.id} of {execution.flow_id}, version {execution.version}, has the text {one.text!r}"


def the_newest_edit_is_stored(evidence: Evidence) -> Iterator[str]:
    """Each definition is the last one that was confirmed, unless an answer to a later edit was lost."""
    last: dict[str, Action] = {}
    for one in evidence.actions:
        if one.kind == "edit" and one.may_have_happened:
            last[one.subject] = one
    for subject, action in last.items():
        stored = evidence.stored.get(subject)
        if action.answered_at is None or action.operation == "putSchedule":
            continue
        if stored is None:
            yield f"{subject} was edited and is missing"
        elif action.operation == "putFlow":
            if stored["version"] != action.answer["version"] or not stored["published"]:
                yield f"{subject} has version {stored['version']}, and {action.answer['version']} was published last"
        elif different := _different(action.request, stored):
            yield f"{subject} has another {different} than the last edit"


def messages_go_to_the_address_of_their_channel(evidence: Evidence) -> Iterator[str]:
    """A message that is sent after the edit of its channel was confirmed goes to the new address."""
    edits = [(one, at) for one, at in confirmed(evidence.actions, "edit") if one.operation == "putChannel"]
    for action, at in edits:
        number = int(action.request["url"].rpartition("=")[2])
        known = (settled(evidence, at, KNOWN_S + 15.0) - evidence.began).total_seconds()
        for one in evidence.messages:
            if one.path == f"/{action.name}" and one.at_s > known and one.edit < number:
                yield f"a message arrived at edit {one.edit} of {action.name} {one.at_s - known:.1f} s after {number}"
                break


def a_disabled_webhook_accepts_nothing(evidence: Evidence) -> Iterator[str]:
    """From a second after it was disabled until it is enabled again."""
    for disabled, at in confirmed(evidence.actions, "edit"):
        if disabled.request.get("enabled") is not False or disabled.operation != "putWebhook":
            continue
        until = next_edit(evidence, disabled)
        since = settled(evidence, at, KNOWN_S)
        for one in evidence.sent:
            moment = evidence.began + timedelta(seconds=one.accepted_s)
            if f"{one.flow}-{one.channel}" == disabled.name and one.event_id and since < moment < until:
                yield f"{one.name} was accepted at {one.accepted_s:.1f} s, while {disabled.name} was disabled"


def a_disabled_schedule_starts_nothing(evidence: Evidence) -> Iterator[str]:
    """From the confirmation on until it is enabled again."""
    for disabled, at in confirmed(evidence.actions, "edit"):
        if disabled.request.get("enabled") is not False or disabled.operation != "putSchedule":
            continue
        until = next_edit(evidence, disabled)
        for one in evidence.executions:
            if one.flow_id == TICK and one.replay_of is None and at < one.queued_at < until:
                yield f"execution {one.id} of {TICK} began while its schedule was disabled"


def next_edit(evidence: Evidence, edit: Action) -> datetime:
    """When the next edit of the same subject was asked for."""
    later = [one.asked_at for one in evidence.actions if one.subject == edit.subject and one.asked_at > edit.asked_at]
    return min(later, default=datetime.max.replace(tzinfo=edit.asked_at.tzinfo))


def _texts(definition: Mapping[str, Any]) -> list[re.Pattern[str]]:
    data = [one["data"] for one in definition["nodes"] if one["type"] in ("message", "input")]
    texts = [one.get("text") or one.get("prompt") for one in data]
    return [re.compile(".*".join(re.escape(part) for part in re.split(r"\{\{.*?\}\}", text))) for text in texts]


def _different(wanted: Mapping[str, Any], stored: Mapping[str, Any]) -> str | None:
    """The first field that is not as wanted. Secrets are masked, and fields may have further defaults."""
    for name, value in wanted.items():
        found = stored.get(name)
        if isinstance(value, dict) and isinstance(found, dict):
            if (inner := _different(value, found)) is not None:
                return f"{name}.{inner}"
        elif found not in (value, "***"):
            return name
    return None
