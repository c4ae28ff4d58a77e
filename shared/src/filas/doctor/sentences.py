"""The sentences of the doctor in each language, from the messages `doctor.…` and `why.…` of the catalogue."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from filas.messages import catalogue
from filas.models.findings import Diagnosis, DiagnosisTexts, Finding, FindingTexts, Severity, Subject
from filas.models.record import ErrorDetail


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, or a part of one, in each language."""

    en: str
    pt: str

    def __str__(self) -> str:
        return self.en


NOTHING: Final = Sentence("", "")
_NO_EVIDENCE: Final[dict[str, Any]] = {}


def sentence(message_id: str, **parameters: Any) -> Sentence:
    """The message of the catalogue with its parameters, which may be sentences. Raises KeyError for an unknown id and
    for a missing parameter."""
    english = {name: one.en if isinstance(one, Sentence) else one for name, one in parameters.items()}
    portuguese = {name: one.pt if isinstance(one, Sentence) else one for name, one in parameters.items()}
    return Sentence(catalogue.text("en", message_id, **english), catalogue.text("pt-BR", message_id, **portuguese))


def plain(text: str) -> Sentence:
    """A text that is the same in every language, such as the message of an error."""
    return Sentence(text, text)


def cause_of(error: ErrorDetail | None, longest: int | None = None) -> Sentence:
    """What an error adds to a sentence: `: kind: message`. Nothing without an error."""
    if error is None:
        return NOTHING
    return sentence("doctor.error-of", kind=error.kind, reason=error.message[:longest])


def finding(
    code: str,
    severity: Severity,
    subject: Subject,
    message: Sentence,
    remedy: Sentence,
    *,
    evidence: dict[str, Any] = _NO_EVIDENCE,
    since: datetime | None = None,
    repairable: bool = False,
) -> Finding:
    """A finding with its sentences in every language."""
    return Finding(
        code=code,
        severity=severity,
        subject=subject,
        message=message.en,
        remedy=remedy.en,
        pt=FindingTexts(message=message.pt, remedy=remedy.pt),
        evidence=dict(evidence),
        since=since,
        repairable=repairable,
    )


def diagnosis(
    subject: Subject,
    status: str,
    cause: str,
    said: Sentence,
    *,
    stuck: bool = False,
    evidence: dict[str, Any] = _NO_EVIDENCE,
    remedy: Sentence | None = None,
    since: datetime | None = None,
) -> Diagnosis:
    """A diagnosis with its sentences in every language."""
    return Diagnosis(
        subject=subject,
        status=status,
        cause=cause,
        sentence=said.en,
        stuck=stuck,
        evidence=dict(evidence),
        remedy=None if remedy is None else remedy.en,
        since=since,
        pt=DiagnosisTexts(sentence=said.pt, remedy=None if remedy is None else remedy.pt),
    )


def sentence_of(answer: Diagnosis) -> Sentence:
    """The sentence of a diagnosis, for a sentence that contains it."""
    return Sentence(answer.sentence, answer.sentence if answer.pt is None else answer.pt.sentence)


def remedy_of(answer: Diagnosis) -> Sentence | None:
    """The remedy of a diagnosis, for another one that has the same remedy."""
    if answer.remedy is None:
        return None
    return Sentence(answer.remedy, (answer.pt and answer.pt.remedy) or answer.remedy)


def sentences_of(found: Finding) -> tuple[Sentence, Sentence]:
    """The message and the remedy of a finding."""
    if found.pt is None:
        return plain(found.message), plain(found.remedy)
    return Sentence(found.message, found.pt.message), Sentence(found.remedy, found.pt.remedy)
