"""Links the conversations of older versions to contacts.

Older versions know no contacts. They make one conversation for each way of writing an address, before the upgrade and
while their processes still run beside this version. A contact that writes to this version is linked at once, by the id
that its conversation has; this job links the others, merges those of one contact, and moves executions that an older
process has begun in a conversation that was merged. It reads two small partial indexes, which are empty when all is
done.
"""

from typing import Final, Protocol
from uuid import UUID

from filas.observability.logs import get_logger

PAGE: Final = 200
MAX_PAGES: Final = 50

_FIRST: Final = UUID(int=0)

log = get_logger(__name__)


class ConversationStore(Protocol):
    """The conversations of contacts (`ContactRepository`)."""

    async def link_old(self, after: UUID, limit: int) -> tuple[int, UUID | None]:
        """Links the next conversations. Returns how many were linked, and where the next call continues."""

    async def move_executions(self, after: UUID, limit: int) -> UUID | None:
        """Moves executions out of merged conversations. Returns where the next call continues."""


class OldConversations:
    """Links the conversations of older versions, some pages at a time."""

    def __init__(self, store: ConversationStore) -> None:
        self._store = store
        self._next_link: UUID | None = _FIRST
        self._next_move: UUID | None = _FIRST

    async def link(self) -> None:
        """Continues where the last call ended. Raises StoreUnavailable."""
        linked = 0
        for _ in range(MAX_PAGES):
            count, self._next_link = await self._store.link_old(self._next_link or _FIRST, PAGE)
            linked += count
            if self._next_link is None:
                break
        for _ in range(MAX_PAGES):
            self._next_move = await self._store.move_executions(self._next_move or _FIRST, PAGE)
            if self._next_move is None:
                break
        if linked:
            log.info("conversations.linked", conversations=linked)
