"""What the audit stores of one call of the API."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from filas.contract.identity import new_id
from filas.contract.storable_text import to_storable
from filas.crypto.api_keys import without_keys
from filas.crypto.redaction import HIDDEN
from filas.models.access import NewAuditEntry, Outcome
from ingest.access.audit_log import AuditLog
from ingest.access.audited_content import audited
from ingest.access.authentication import Client

T = TypeVar("T")

_NO_RESULT: Final = object()
_MAX_SUBJECT: Final = 500


class CallAudit:
    """The entry of one call, which `client` sent from `address`.

    A handler whose change is one transaction in Postgres makes it through `change`. For any other call, the entry is
    stored after its handler has returned. A handler may set `subject`, `before` and `after`; without that, `before` is
    null and `after` is the answer.
    """

    def __init__(self, log: AuditLog, client: Client, address: str, action: str, subject: str) -> None:
        self._log = log
        self._client = client
        self._address = address
        self._action = action
        self.subject = subject
        self.before: Any = None
        self.after: Any = _NO_RESULT
        self._is_settled = False

    @property
    def who(self) -> str:
        """The name of the client, as the audit stores it."""
        return without_keys(self._client.name, HIDDEN)

    async def change(
        self,
        write: Callable[[], Awaitable[T]],
        *,
        before: Callable[[], Awaitable[Any]] | None = None,
        after: Callable[[T], Any] | None = None,
    ) -> T:
        """Runs `write` and stores the entry, in one transaction. Returns the result of `write`.

        `before` reads the subject as the API shows it, None if there is none. `after` makes it from the result; without
        it, it is the attribute `after`, or null. If `write` returns False, it has changed nothing, and nothing is
        stored. All of them run again after a deadlock.
        """
        self._is_settled = True  # whatever happens: the change and its entry are stored together, or neither is

        async def work() -> tuple[T, NewAuditEntry | None]:
            found = self.before if before is None else await before()
            result = await write()
            if result is False:
                return result, None
            given = None if self.after is _NO_RESULT else self.after
            return result, self._entry("done", found, given if after is None else after(result))

        return await self._log.write_with(self.subject, work)

    async def succeeded(self, answer: Any) -> None:
        """Stores the entry of a call that is not stored yet."""
        if not self._is_settled:
            await self._log.add(self._entry("done", self.before, answer if self.after is _NO_RESULT else self.after))

    async def failed(self, failure: Any) -> None:
        """Stores the entry of a call that ended with an error after it may have changed something."""
        if not self._is_settled:
            await self._log.add(self._entry("failed", self.before, failure))

    def nothing_changed(self) -> None:
        """The call stores no entry."""
        self._is_settled = True

    def _entry(self, outcome: Outcome, before: Any, after: Any) -> NewAuditEntry:
        return NewAuditEntry(
            id=new_id(),
            who=self.who,
            key_id=self._client.key_id,
            role=self._client.role,
            address=self._address,
            action=self._action,
            subject=without_keys(to_storable(self.subject), HIDDEN)[:_MAX_SUBJECT],
            outcome=outcome,
            before=audited(before),
            after=audited(after),
        )


def subject_of(path: str, values: dict[str, str]) -> str:
    """Returns the subject of a route's path: the path up to its last parameter, such as `jobs/{id}` of
    `/jobs/{id}/cancel`. Without a parameter: its first part."""
    parts = path.strip("/").split("/")
    with_parameters = [number for number, part in enumerate(parts) if part.startswith("{")]
    end = with_parameters[-1] + 1 if with_parameters else 1
    return "/".join(values[part[1:-1]] if part.startswith("{") else part for part in parts[:end])
