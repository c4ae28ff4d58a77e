"""What an error of the driver means: the store is away, the value is bad, or the statement may be run again."""

from typing import Final

import asyncpg

# The first that fits. Operators see these words (`/readyz`), so the same trouble always has the same ones.
_REASONS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (ConnectionRefusedError, "connection refused"),
    (ConnectionResetError, "connection reset"),
    (BrokenPipeError, "connection reset"),
    (TimeoutError, "timed out"),
    (OSError, "can't be reached"),
    (asyncpg.CannotConnectNowError, "starting up or shutting down"),
    (asyncpg.AdminShutdownError, "shut down"),
    (asyncpg.CrashShutdownError, "crashed"),
    (asyncpg.QueryCanceledError, "a statement took too long"),
    (asyncpg.exceptions.OperatorInterventionError, "the session was ended"),
    (asyncpg.InvalidCatalogNameError, "the database doesn't exist"),
    (asyncpg.InvalidAuthorizationSpecificationError, "the user name or the password is wrong"),
    (asyncpg.TooManyConnectionsError, "too many connections"),
    (asyncpg.DiskFullError, "disk full"),
    (asyncpg.InsufficientResourcesError, "out of resources"),
    (asyncpg.ReadOnlySQLTransactionError, "read-only"),
    (asyncpg.PostgresSystemError, "system error"),
    (asyncpg.PostgresConnectionError, "connection lost"),
    (asyncpg.UndefinedTableError, "the schema is missing"),
    (asyncpg.ConnectionDoesNotExistError, "connection lost"),
)

_BAD_VALUES: Final = (
    asyncpg.exceptions.DataError,
    asyncpg.exceptions.IntegrityConstraintViolationError,
    asyncpg.exceptions.ProgramLimitExceededError,
    OverflowError,
    # The driver's own refusals of an argument, and text that isn't Unicode.
    ValueError,
)

_RUN_AGAIN: Final = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)


def unavailable(error: BaseException) -> str | None:
    """Why Postgres can't be used, in a few words, if that is what `error` says; else None."""
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    # The driver has one class for a closed connection and for being called wrongly.
    if isinstance(error, asyncpg.InterfaceError) and "clos" in str(error):
        return "connection lost"
    # A connection that breaks just as it is handed out: "another operation is in progress". Its subclasses tell
    # of outdated plans.
    if type(error) is asyncpg.InternalClientError:
        return "connection lost"
    return None


def says_store_is_down(error: BaseException) -> bool:
    """Whether the next statement will fail as well: not so when one statement merely took too long."""
    return not isinstance(error, asyncpg.QueryCanceledError)


def bad_value(error: BaseException) -> bool:
    """Whether the statement failed for what is in its rows, so that other rows may do better."""
    return isinstance(error, _BAD_VALUES)


def may_run_again(error: BaseException) -> bool:
    """Whether the same statement, rolled back now, may well succeed at once: a deadlock, an outdated plan."""
    return isinstance(error, _RUN_AGAIN)
