"""Every way in which the public listener says no, and how often it did."""

from dataclasses import dataclass, field
from http import HTTPStatus

from filas.errors import FilasError
from filas.observability.metrics import WEBHOOKS
from filas.service.problem_documents import PROBLEM_JSON, problem_document
from ingest.http.answers import Answer

RETRY_AFTER_S = 5
"""When to come again after a 503: stores are back, or the other one has taken over, within seconds."""


@dataclass
class Refusal(FilasError):
    """A request that is turned away. `reason` is the word under which it is counted."""

    status: int
    reason: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)
    closes: bool = False

    def answer(self) -> Answer:
        """The problem document; `closes` also ends the connection, whose remaining bytes nobody wants."""
        WEBHOOKS.labels(self.reason).inc()
        document = problem_document(self.status, HTTPStatus(self.status).phrase, self.detail)
        return Answer(self.status, document, PROBLEM_JSON, self.headers, closes=self.closes)


def malformed() -> Refusal:
    """400."""
    return Refusal(400, "malformed", "this is no HTTP request, or its head is too large", closes=True)


def unknown_webhook() -> Refusal:
    """404."""
    return Refusal(404, "unknown", "there is no webhook at this address")


def wrong_method(allow: str) -> Refusal:
    """405 with `Allow`."""
    return Refusal(405, "method", f"this webhook takes {allow}", {"Allow": allow})


def unauthenticated(authenticate: str | None) -> Refusal:
    """401. The sender isn't told what was wrong with its proof."""
    headers = {} if authenticate is None else {"WWW-Authenticate": authenticate}
    return Refusal(401, "signature", "the signature or the credentials are missing or wrong", headers)


def too_many(reason: str, detail: str, retry_after_s: int) -> Refusal:
    """429 with `Retry-After`."""
    return Refusal(429, reason, detail, {"Retry-After": str(retry_after_s)})


def too_large(max_bytes: int) -> Refusal:
    """413."""
    return Refusal(413, "too-large", f"a body may have {max_bytes} bytes at most", closes=True)


def unavailable(reason: str, detail: str) -> Refusal:
    """503 with `Retry-After`."""
    return Refusal(503, reason, detail, {"Retry-After": str(RETRY_AFTER_S)})
