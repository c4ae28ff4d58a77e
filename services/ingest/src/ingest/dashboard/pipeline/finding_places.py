"""Where a finding of the doctor belongs in the picture of the pipeline, and which page shows its cause."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from filas.contract.policies import QUEUES
from filas.models.findings import Finding, Severity

PARTS: Final = ("senders", "ingest", *(policy.short for policy in QUEUES), "channels", "redis", "postgres", "letters")
"""The parts of the picture. A webhook or a channel that has a row of its own is a part too: `webhook:ID`,
`channel:ID`."""

RANK: Final[Mapping[Severity, int]] = {"critical": 0, "warning": 1, "info": 2}

_PARTS_OF_KINDS: Final = {
    "redis": "redis",
    "postgres": "postgres",
    "process": "ingest",
    "event": "webhook",
    "schedule": "flow",
    "flow": "flow",
    "execution": "flow",
    "conversation": "flow",
    "notification": "notification",
    "channel": "channels",
    "webhook": "senders",
}

_PAGES_OF_CODES: Final = {"dead-letters": "/dashboard/dead-letters", "refusals-spike": "/dashboard/refusals"}
_PAGES_OF_KINDS: Final = {
    "queue": "/dashboard/queues/{}",
    "execution": "/dashboard/executions/{}",
    "event": "/dashboard/events/{}",
    "job": "/dashboard/jobs/{}",
    "conversation": "/dashboard/conversations/{}",
    "webhook": "/dashboard/events?webhookId={}",
    "flow": "/dashboard/executions?status=failed&flowId={}",
    "channel": "/dashboard/doctor?channel={}",
    "notification": "/dashboard/doctor?notification={}",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """The findings of one part of the picture: the worst severity, how many there are, and the first of them."""

    severity: Severity
    count: int
    first: Finding

    @property
    def anchor(self) -> str:
        """The id of the first finding in the list of findings."""
        return anchor_of(self.first)


def anchor_of(finding: Finding) -> str:
    """Returns the id of the element that shows the finding."""
    return f"finding-{finding.code}-{quote(finding.subject.id, safe='')}" if finding.subject.id else (
        f"finding-{finding.code}"
    )  # fmt: skip


def part_of(finding: Finding, rows: frozenset[str]) -> str:
    """Returns the part that the finding concerns. `rows` are the webhooks and channels that have rows of their own."""
    kind, subject_id = finding.subject.kind, finding.subject.id
    if f"{kind}:{subject_id}" in rows:
        return f"{kind}:{subject_id}"
    if finding.code == "dead-letters":
        return "letters"
    if kind == "queue":
        return subject_id if subject_id in PARTS else "flow"
    if kind == "webhook" and not subject_id:
        return "ingest"
    if kind == "job":
        return next((policy.short for policy in QUEUES if subject_id.startswith(policy.job_id(""))), "flow")
    return _PARTS_OF_KINDS[kind]


def marks(findings: Sequence[Finding], rows: frozenset[str]) -> dict[str, Mark]:
    """Returns the mark of each part that has findings."""
    by_part: dict[str, list[Finding]] = {}
    for one in findings:
        by_part.setdefault(part_of(one, rows), []).append(one)
    found = {}
    for part, members in by_part.items():
        members.sort(key=lambda one: RANK[one.severity])
        found[part] = Mark(members[0].severity, len(members), members[0])
    return found


def cause_address(finding: Finding) -> str | None:
    """Returns the address of the page that shows the cause; None if there is no such page."""
    kind, subject_id = finding.subject.kind, finding.subject.id
    page = _PAGES_OF_CODES.get(finding.code)
    if page is not None:
        return page
    return _PAGES_OF_KINDS[kind].format(quote(subject_id, safe="")) if subject_id and kind in _PAGES_OF_KINDS else None
