"""What the doctor finds."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from filas.models.record import Record

Severity = Literal["info", "warning", "critical"]
"""`info`: nothing has to be done now. `warning`: some work fails or waits. `critical`: accepted work does not
continue, or can be lost."""

SubjectKind = Literal[
    "redis",
    "postgres",
    "process",
    "queue",
    "webhook",
    "flow",
    "channel",
    "schedule",
    "execution",
    "event",
    "job",
    "notification",
    "conversation",
]


class Subject(Record, frozen=True, kw_only=True):
    """What a finding is about. `id` is empty if there is only one of the kind."""

    kind: SubjectKind
    id: str = ""


class FindingTexts(Record, frozen=True, kw_only=True):
    """The sentences of a finding in another language."""

    message: str
    remedy: str


class Finding(Record, frozen=True, kw_only=True):
    """Something that is wrong.

    `code` is stable. `message` is one sentence, `evidence` the figures that it is based on, `since` when it began, if
    that is known, and `remedy` what to do. `repairable`: `POST /api/doctor/repair` can correct it. `pt` has the
    sentences in Portuguese.
    """

    code: str
    severity: Severity
    subject: Subject
    message: str
    remedy: str
    evidence: dict[str, Any] = msgspec.field(default_factory=dict)
    since: datetime | None = None
    repairable: bool = False
    pt: FindingTexts | None = None


class Part(Record, frozen=True, kw_only=True):
    """The state of one part that was examined. If `ok` is false, a finding states what is wrong."""

    part: str
    ok: bool
    detail: str


class Examination(Record, frozen=True, kw_only=True, tag_field="answer", tag="examination"):
    """All findings, the most severe first, and the state of each part. `ok`: there is no finding of severity `warning`
    or `critical`."""

    ok: bool
    findings: list[Finding]
    parts: list[Part]
    timestamp: str


class DiagnosisTexts(Record, frozen=True, kw_only=True):
    """The sentences of a diagnosis in another language."""

    sentence: str
    remedy: str | None = None


class Diagnosis(Record, frozen=True, kw_only=True, tag_field="answer", tag="diagnosis"):
    """Why one object is where it is: one sentence with its evidence and its remedy.

    `cause` is a stable word. `stuck`: it does not continue until a person acts. `pt` has the sentences in Portuguese.
    """

    subject: Subject
    status: str
    cause: str
    sentence: str
    stuck: bool = False
    evidence: dict[str, Any] = msgspec.field(default_factory=dict)
    remedy: str | None = None
    since: datetime | None = None
    pt: DiagnosisTexts | None = None
