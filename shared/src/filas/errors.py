"""The errors that decide what becomes of a job or a request.

A worker maps them so: `PermanentError` ends the job as a dead letter at once; `StoreUnavailable` gives it
back without using up a try; `RetryLater` retries it at the time it asks for; everything else is retried
as the queue's policy says.
"""


class FilasError(Exception):
    """Everything that Filas raises on purpose."""


class SettingsError(FilasError):
    """A setting has a wrong value. The message is one line that names the variable."""


class PermanentError(FilasError):
    """The work can't succeed however often it is tried."""


class JobDecodeError(PermanentError):
    """A job's payload is not what its schema says: broken, foreign, or of a newer version."""


class RetryLater(FilasError):
    """Try again after `delay_s` seconds. `uses_attempt=False` gives the job back unspent."""

    def __init__(self, message: str, *, delay_s: float, uses_attempt: bool = True) -> None:
        super().__init__(message)
        self.delay_s = delay_s
        self.uses_attempt = uses_attempt


class StoreUnavailable(FilasError):
    """Redis or Postgres can't be reached or can't take writes. `store` is `redis` or `postgres`."""

    def __init__(self, store: str, reason: str) -> None:
        super().__init__(f"{store}: {reason}")
        self.store = store
        self.reason = reason


class LeaseLost(FilasError):
    """Somebody else holds the execution or job by now: stop, and write nothing more."""


class NotFound(FilasError):
    """No row of that id."""


class Conflict(FilasError):
    """The row is in a state, or holds a name, that forbids the change."""


class Unstorable(PermanentError):
    """A value that Postgres can't hold (a NUL in text, say), or a row that breaks one of its rules."""


class InvalidCursor(FilasError):
    """The cursor of a list was not made by that list."""


class OutboundRefused(PermanentError):
    """The outbound guard refused an address, a port, a method or a redirect."""


class OutboundError(FilasError):
    """A call to the outside ended without a usable answer.

    `kind` is a stable word. `sent`: the request, or a part of it, may have reached the other side, so its
    effect is uncertain. None of these is permanent: who called decides whether to try again.
    """

    kind = "communication"

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class OutboundTimeout(OutboundError):
    """The whole call, redirects and body included, took longer than it may."""

    kind = "timeout"


class OutboundFailed(OutboundError):
    """No connection, a broken one, or an answer that isn't HTTP."""


class OutboundTooLarge(OutboundFailed):
    """The answer has more bytes than the caller takes. `status` is the answer's."""

    kind = "response-too-large"

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message, sent=True)
        self.status = status


class SecretUnreadable(PermanentError):
    """A stored secret can't be decrypted with the present key, or names an environment variable that is not set."""
