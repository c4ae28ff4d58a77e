"""What an error of the driver means: Postgres is unavailable or busy, a value is bad, or to run a statement again."""

from typing import Final

import asyncpg

from filas.errors import StoreBusy

MAX_RUNS: Final = 3
"""How often a statement is run if a deadlock or an outdated plan rolls it back."""

# The first class that matches decides. Operators see the reason in `/readyz`, so one cause always has one reason.
_REASONS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (ConnectionRefusedError, "connection refused"),
    (ConnectionResetError, "connection reset"),
    (BrokenPipeError, "connection reset"),
    (TimeoutError, "timed out"),
    (OSError, "unreachable"),
    (asyncpg.CannotConnectNowError, "starting up or shutting down"),
    (asyncpg.AdminShutdownError, "shut down"),
    (asyncpg.CrashShutdownError, "crashed"),
    (asyncpg.exceptions.OperatorInterventionError, "the session was ended"),
    (asyncpg.InvalidCatalogNameError, "the database does not exist"),
    (asyncpg.InvalidAuthorizationSpecificationError, "the user name or the password is wrong"),
    (asyncpg.TooManyConnectionsError, "too many connections"),
    (asyncpg.DiskFullError, "disk full"),
    (asyncpg.InsufficientResourcesError, "out of resources"),
    (asyncpg.ReadOnlySQLTransactionError, "read-only"),
    (asyncpg.PostgresSystemError, "system error"),
    (asyncpg.PostgresConnectionError, "connection lost"),
    (asyncpg.UndefinedTableError, "the schema is missing"),
    (asyncpg.InsufficientPrivilegeError, "the user lacks a right: run `filas migrate` as filas_migrate"),
    (asyncpg.ConnectionDoesNotExistError, "connection lost"),
)

_BAD_VALUES: Final = (
    asyncpg.exceptions.DataError,
    asyncpg.exceptions.IntegrityConstraintViolationError,
    asyncpg.exceptions.ProgramLimitExceededError,
    OverflowError,
    # Errors of the driver itself: a wrong argument, or text that is not Unicode.
    ValueError,
)

_RUN_AGAIN: Final = (
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)

# What Postgres reports about one statement while it runs other statements.
_BUSY: Final[tuple[tuple[type[BaseException], str, str], ...]] = (
    (asyncpg.LockNotAvailableError, "locked", "another session holds a lock that the statement needs"),
    (asyncpg.DeadlockDetectedError, "deadlock", "the statement and another one waited for each other"),
    (asyncpg.SerializationError, "deadlock", "the statement conflicts with another one"),
    (asyncpg.QueryCanceledError, "slow", "a statement took too long"),
)


def busy(error: BaseException) -> StoreBusy | None:
    """The error of a statement that was not run although Postgres is available. Otherwise None."""
    for kind, word, reason in _BUSY:
        if isinstance(error, kind):
            return StoreBusy(word, reason)
    return None


def unavailable(error: BaseException) -> str | None:
    """Why Postgres is unavailable, in a few words, if `error` means that. Otherwise None."""
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    # The driver has one class for a closed connection and for a wrong call of its functions.
    if isinstance(error, asyncpg.InterfaceError) and "clos" in str(error):
        return "connection lost"
    # A connection that breaks at the moment when the pool returns it: "another operation is in progress". The
    # subclasses of this error are about outdated plans.
    if type(error) is asyncpg.InternalClientError:
        return "connection lost"
    return None


def bad_value(error: BaseException) -> bool:
    """Whether the statement failed because of a value in its rows, so that other rows may succeed."""
    return isinstance(error, _BAD_VALUES)


def is_repeatable(error: BaseException) -> bool:
    """Whether the same statement may succeed at once after its rollback: a deadlock, an outdated plan."""
    return isinstance(error, _RUN_AGAIN) or (isinstance(error, StoreBusy) and error.kind == "deadlock")
