"""The answers to rejected requests: their status, problem document and outcome in the metric."""

from dataclasses import dataclass, field
from http import HTTPStatus

from filas.errors import FilasError
from filas.observability.metrics import WEBHOOKS
from filas.service.problem_documents import PROBLEM_JSON, problem_document
from ingest.http.answers import Answer

RETRY_AFTER_S = 5
"""`Retry-After` of a 503: within seconds a store is back, or its failure is known and the other store is used."""


@dataclass
class RejectedRequest(FilasError):
    """A request that is not accepted. `outcome` is its label in the metric; `closes`: the connection ends with the
    answer, because the rest of the body is not read. `cause` is what the answer does not reveal to the sender."""

    status: int
    outcome: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)
    closes: bool = False
    cause: str | None = None

    def answer(self) -> Answer:
        """Returns the problem document (RFC 9457) as an answer, and counts the request."""
        WEBHOOKS.labels(self.outcome).inc()
        return self.uncounted_answer()

    def uncounted_answer(self) -> Answer:
        """Returns the problem document as an answer to a request that is counted elsewhere."""
        document = problem_document(self.status, HTTPStatus(self.status).phrase, self.detail)
        return Answer(self.status, document, PROBLEM_JSON, self.headers, closes=self.closes)


def malformed() -> RejectedRequest:
    """400: the request can't be parsed, or could be parsed differently by a proxy."""
    detail = "the request is malformed or ambiguous, or its head is too large"
    return RejectedRequest(400, "malformed", detail, closes=True)


def incomplete_body() -> RejectedRequest:
    """400: the body ended early, or its chunks are malformed."""
    return RejectedRequest(400, "broken", "the body is incomplete or its chunks are malformed", closes=True)


def slow_body() -> RejectedRequest:
    """408: the body was not complete within the time limit."""
    return RejectedRequest(408, "too-slow", "the body took too long to arrive", closes=True)


def too_large(max_bytes: int) -> RejectedRequest:
    """413: the body has more bytes than the limit."""
    return RejectedRequest(413, "too-large", f"body exceeds {max_bytes} bytes", closes=True)


def unknown_webhook() -> RejectedRequest:
    """404: the path has no webhook."""
    return RejectedRequest(404, "unknown", "no webhook has this address")


def wrong_method(allow: str) -> RejectedRequest:
    """405 with `Allow`."""
    return RejectedRequest(405, "method", f"this webhook accepts {allow}", {"Allow": allow})


def unauthenticated(authenticate: str | None, cause: str) -> RejectedRequest:
    """401. The answer does not reveal which check failed; `cause` names it."""
    headers = {} if authenticate is None else {"WWW-Authenticate": authenticate}
    detail = "the signature or the credentials are missing or wrong"
    return RejectedRequest(401, "signature", detail, headers, cause=cause)


def too_many(outcome: str, detail: str, retry_after_s: int) -> RejectedRequest:
    """429 with `Retry-After`: a rate limit is reached."""
    return RejectedRequest(429, outcome, detail, {"Retry-After": str(retry_after_s)})


def unavailable(outcome: str, detail: str, *, closes: bool = False) -> RejectedRequest:
    """503 with `Retry-After`: no store accepts the event."""
    return RejectedRequest(503, outcome, detail, {"Retry-After": str(RETRY_AFTER_S)}, closes=closes)


def overloaded(*, closes: bool) -> RejectedRequest:
    """503 with `Retry-After`: the body budget is exceeded."""
    return unavailable("body-budget", "too many bytes of bodies are being received", closes=closes)
