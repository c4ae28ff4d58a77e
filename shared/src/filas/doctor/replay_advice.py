"""What to replay after a cause was corrected: the execution, or the event that started it."""

from typing import Final

from filas.models.record import ErrorDetail

_OF_WEBHOOKS: Final = (" has no node ", "the execution has no conversation")
"""Parts of the errors of an execution that its webhook's definition causes."""


def is_of_webhook(error: ErrorDetail | None) -> bool:
    """Whether the definition of the webhook caused the error. The execution keeps the node and the conversation that
    the webhook gave it, so a replay of the execution would fail again; a replay of its event uses the present
    definition."""
    return error is not None and any(part in error.message for part in _OF_WEBHOOKS)
