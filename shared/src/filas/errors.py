"""The errors that determine the outcome of a job or a request.

| error raised by a job  | what the worker does                                        |
|------------------------|-------------------------------------------------------------|
| `PermanentError`       | makes the job a dead letter at once                         |
| `StoreUnavailable`     | requeues the job without using an attempt                   |
| `StoreBusy`            | retries the job after a second without using an attempt     |
| `NewerVersionRequired` | leaves the job to a newer worker, for a day                 |
| `RetryLater`           | retries the job after the delay that the error contains     |
| any other exception    | retries the job as the policy of the queue specifies        |
"""


class FilasError(Exception):
    """The base of all errors that Filas raises on purpose."""


class SettingsError(FilasError):
    """A setting has an invalid value. The message is one line that names the variable.

    The process prints the message on standard error and exits with 2.
    """


class PermanentError(FilasError):
    """The work cannot succeed, and another attempt would not help."""


class JobDecodeError(PermanentError):
    """The payload of a job does not match its schema: it is damaged, or from another program."""


class NewerVersionRequired(FilasError):
    """A newer version made the job or the data that it names, and this process cannot read it.

    The job waits, without using an attempt, until a worker that can read it claims it. After a day it becomes a dead
    letter. Nothing may have been written or sent when this is raised.
    """

    kind = "newer-version"


class RetryLater(FilasError):
    """The job is to be retried after `delay_s` seconds. With `uses_attempt=False`, no attempt is used."""

    def __init__(self, message: str, *, delay_s: float, uses_attempt: bool = True) -> None:
        super().__init__(message)
        self.delay_s = delay_s
        self.uses_attempt = uses_attempt


class StoreUnavailable(FilasError):
    """Redis or Postgres cannot be reached or refuses writes. `store` is `redis` or `postgres`."""

    def __init__(self, store: str, reason: str) -> None:
        super().__init__(f"{store}: {reason}")
        self.store = store
        self.reason = reason


class StoreBusy(StoreUnavailable):
    """Postgres is available but has not run this statement: a row is locked, or it took too long. Other statements may
    succeed, so this is no reason to stop working.

    `kind` is `locked`, `deadlock`, `slow`, or `pool` (all connections are in use). `delay_s`: when to try again, in
    seconds.
    """

    delay_s = 1.0

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__("postgres", reason)
        self.kind = kind


class LeaseLost(FilasError):
    """Another worker has claimed the execution or job. The work must stop and write nothing more.

    The flow-runner logs it and completes the job: the other worker runs the execution to its end.
    """


class NotFound(FilasError):
    """There is no row with that id. The API answers 404."""


class Conflict(FilasError):
    """The state of the row, or a name that is in use, does not allow the change. The API answers 409."""


class Unstorable(PermanentError):
    """Postgres cannot store a value (for example a NUL in a text), or a row violates a constraint."""


class InvalidCursor(FilasError):
    """The cursor does not belong to this list. The API answers with an error of the field `cursor`."""


class OutboundRefused(PermanentError):
    """The outbound guard refused an address, a port, a method, a header or a redirect.

    It fails the node of a flow with `outbound-refused`, and a notification permanently.
    """


class OutboundError(FilasError):
    """An outbound call ended without a usable response.

    `kind` is a stable word. `sent`: the request, or a part of it, may have reached the server, so its effect is
    uncertain. The caller decides whether to try again.
    """

    kind = "communication"

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class OutboundTimeout(OutboundError):
    """The call exceeded its time limit, which includes redirects and the body."""

    kind = "timeout"


class OutboundFailed(OutboundError):
    """The connection failed or broke, or the response is not HTTP."""


class OutboundTooLarge(OutboundFailed):
    """The response is larger than the caller allows. `status` is that of the response."""

    kind = "response-too-large"

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message, sent=True)
        self.status = status


class SecretUnreadable(PermanentError):
    """A stored secret cannot be decrypted with the present key, or names an environment variable that is not set.

    Ingest answers 503 for the webhook. The notifier treats the channel as unusable. A flow runs without the secret.
    """


class SecretOfNewerVersion(SecretUnreadable):
    """A newer version has stored the secret in a format that this version does not know."""
