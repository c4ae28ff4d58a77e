"""Webhooks are accepted, and nothing accepted is lost."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from tests.chaos.actions import confirmed, possible
from tests.chaos.checks.definitions import KNOWN_S
from tests.chaos.evidence import Evidence, accepted, settled
from tests.chaos.schedule import Fault

AFTER_S: Final = 12.0
"""How long after a fault of `ingest` itself its senders may still be refused: it starts and connects again."""


def every_webhook_is_accepted(evidence: Evidence) -> Iterator[str]:
    """A sender that repeats its webhook is answered with 200 at the latest when the faults are over."""
    for one in evidence.sent:
        if one.event_id is None:
            last = one.tries[-1][1] if one.tries else "nothing"
            yield f"{one.name} was refused {len(one.tries)} times, last with {last}"


def answers_are_no_worse_than_promised(evidence: Evidence) -> Iterator[str]:
    """A webhook is refused only while `ingest` itself or its ways to both stores do not work. One that an operator has
    disabled is answered with 404."""
    disabled = _disabled(evidence)
    for one in evidence.sent:
        for at_s, answer in one.tries:
            at = evidence.began + timedelta(seconds=at_s)
            if answer == "404" and any(since <= at <= until for since, until in disabled[f"{one.flow}-{one.channel}"]):
                continue
            if not _may_be_refused(evidence.faults, at_s):
                yield f"{one.name} was answered with {answer} at {at_s:.1f} s"


def no_accepted_event_is_missing(evidence: Evidence) -> Iterator[str]:
    """An accepted event is in Postgres and processed."""
    for one in accepted(evidence):
        status = evidence.events.get(one.event_id or "", "missing")
        if status != "processed":
            yield f"event {one.event_id} of {one.name} is {status}"


def _disabled(evidence: Evidence) -> dict[str, list[tuple[datetime, datetime]]]:
    """The times in which each webhook may be known as disabled."""
    found: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for one in possible(evidence.actions, "edit"):
        if one.operation == "putWebhook" and one.request.get("enabled") is False:
            enabled = [each for each, _ in confirmed(evidence.actions, "edit") if each.subject == one.subject]
            ends = [each.answered_at for each in enabled if each.answered_at and each.asked_at > one.asked_at]
            end = min(ends, default=one.asked_at)
            found[one.name].append((one.asked_at, settled(evidence, end, KNOWN_S)))
    return found


def _may_be_refused(faults: Sequence[Fault], at_s: float) -> bool:
    """Whether `ingest` or both of its stores are hit at `at_s`. A sender's try may have begun long before its end."""
    near = [one for one in faults if one.at_s - AFTER_S <= at_s <= one.ends_s + AFTER_S]
    if any("ingest" in one.processes for one in near):
        return True
    stores = {
        one.store or one.target.partition("/")[2] for one in near if one.store or one.target.startswith("ingest/")
    }
    return len(stores) > 1
