"""The outcome that a test run gives to a message."""

from dataclasses import dataclass

import msgspec

from filas.contract.jobs import GivenAnswer
from filas.flows.templates.template import as_text
from filas.models.notifications import AwaitedStatus, OutcomeStatus
from filas.models.record import ErrorDetail

_NOT_DELIVERED = "the message was not delivered (as the test defines)"

_PROVIDER_ID = "test-run"
"""The provider's id of every message of a test run."""


@dataclass(frozen=True, slots=True)
class GivenOutcome:
    """The status of a message; None: its provider does not answer while the node waits. `error` belongs to `failed`."""

    status: OutcomeStatus | None
    error: ErrorDetail | None = None

    @property
    def text(self) -> str:
        """The outcome as a claim returns it (`ClaimedExecution.message_outcome`)."""
        provider_id = None if self.status == "failed" else _PROVIDER_ID
        return msgspec.json.encode({"status": self.status, "error": self.error, "providerId": provider_id}).decode()


def outcome_of(answer: GivenAnswer, awaits: AwaitedStatus | None) -> GivenOutcome:
    """The outcome of a message whose node has this answer.

    | answer                                      | outcome                                              |
    |---------------------------------------------|------------------------------------------------------|
    | `status` below 400, or none                 | the status that the node awaits                      |
    | `{"error":"timeout"}`                       | none: the node waits for `awaitMs`                   |
    | any other `error`, or `status` 400 or above | failed; `body` is the message, or {`kind`,`message`} |
    """
    if answer.error == "timeout":
        return GivenOutcome(None)
    if answer.error is None and answer.status < 400:
        return GivenOutcome(awaits or "sent")
    body = answer.body if isinstance(answer.body, dict) else {"message": answer.body}
    kind = as_text(body.get("kind") or answer.error or "http-status")
    message = as_text(body.get("message") or _NOT_DELIVERED)
    detail = None if answer.error is not None else {"status": answer.status}
    return GivenOutcome("failed", ErrorDetail(kind=kind, message=message, detail=detail))


def without_channel(channel_id: str) -> GivenOutcome:
    """The outcome of a message over a channel that is not stored: a real message fails too."""
    return GivenOutcome("failed", ErrorDetail(kind="permanent", message=f"there is no channel {channel_id!r}"))
