"""Keys of the API, and the audit of changes."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from filas.models.record import Record

Role = Literal["viewer", "operator", "admin"]

RANK: Final[dict[str, int]] = {"viewer": 1, "operator": 2, "admin": 3}
"""A role may do everything that a role of a lower rank may do."""

FIRST_ADMIN: Final = "admin token"
COMMAND_LINE: Final = "command line"
UNKNOWN: Final = "unknown"
RESERVED_NAMES: Final = frozenset({FIRST_ADMIN, COMMAND_LINE, UNKNOWN})
"""Who changed something, if it was no key: FILAS_ADMIN_TOKEN, a command that uses Postgres itself, or a failed sign-in.
No key has one of these names."""

SIGN_IN_FAILED: Final = "signInFailed"
MIGRATE_DATABASE: Final = "migrateDatabase"
CREATE_ROLES: Final = "createRoles"

Outcome = Literal["done", "failed"]
"""`failed`: the call ended with an error after it may have changed something."""


class ApiKey(Record, frozen=True, kw_only=True):
    """A key of the API, without its value. `prefix` is how the value begins.

    A key is valid until `expires_at`, and until it is revoked. `created_by` and `revoked_by` are the name of a key, or
    `admin token`. `last_used_at` is exact to a minute.
    """

    id: UUID
    name: str
    role: Role
    prefix: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    last_used_at: datetime | None


class NewApiKey(Record, frozen=True, kw_only=True):
    """A key that is about to be stored. `hash` is the HMAC of its value."""

    id: UUID
    name: str
    role: Role
    prefix: str
    hash: bytes
    created_by: str
    expires_at: datetime | None


class ActiveKey(Record, frozen=True, kw_only=True):
    """A valid key, for the check of requests. `expires_in_s` is by the database's clock, None: it does not expire."""

    id: UUID
    name: str
    role: Role
    hash: bytes
    expires_in_s: float | None


class NewAuditEntry(Record, frozen=True, kw_only=True):
    """An entry that is about to be stored, without its time. `before` and `after` have no secrets."""

    id: UUID
    who: str
    key_id: UUID | None
    role: Role | None
    address: str
    action: str
    subject: str
    outcome: Outcome
    before: Any
    after: Any


class AuditEntry(Record, frozen=True, kw_only=True):
    """One change, or the failed sign-ins of one address in one minute.

    | field | meaning |
    |---|---|
    | `who` | the name of the key, `admin token`, `command line`, or `unknown` for a failed sign-in |
    | `key_id`, `role` | the key and its role; no key: null |
    | `address` | the address from which the request came; `local`: a command; `other`: many addresses |
    | `action` | the operation, as in OpenAPI (`putWebhook`), `signIn`, `signOut`, `signInFailed`, `migrateDatabase` or
      `createRoles` |
    | `subject` | what was changed, as in the path of the API (`webhooks/shop`), `sessions/…`, `sign-in` or `database` |
    | `outcome` | `done`, or `failed`: an error after something may have been changed |
    | `count`, `last_at` | of failed sign-ins: how many, and the last one |
    | `before`, `after` | the subject as the API shows it, or the command and its result; secrets are hidden |
    """

    id: UUID
    at: datetime
    last_at: datetime
    who: str
    key_id: UUID | None
    role: Role | None
    address: str
    action: str
    subject: str
    outcome: Outcome
    count: int
    before: Any
    after: Any


class SignInFailures(Record, frozen=True, kw_only=True):
    """The failed sign-ins of one address in the minute that begins at `at`."""

    at: datetime
    last_at: datetime
    address: str
    count: int
