"""The queues that an operator has paused. They are stored in Postgres, so that losing Redis resumes no queue."""

from datetime import datetime
from typing import Final

from filas.repository.postgres.database import Database

ALL: Final = "select queue from queue_pauses"
SINCE: Final = "select queue, paused_at from queue_pauses"
PAUSE: Final = "insert into queue_pauses (queue) values ($1) on conflict do nothing returning queue"
RESUME: Final = "delete from queue_pauses where queue = $1 returning queue"


class PauseRepository:
    """The table `queue_pauses`. Queues are identified by their full names."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> set[str]:
        """The paused queues."""
        return {row["queue"] for row in await self._database.fetch(ALL)}

    async def since(self) -> dict[str, datetime]:
        """The paused queues, each with the time of its pause."""
        return {row["queue"]: row["paused_at"] for row in await self._database.fetch(SINCE)}

    async def pause(self, queue: str) -> bool:
        """Pauses the queue. False if it was paused already."""
        return await self._database.fetchrow(PAUSE, queue) is not None

    async def resume(self, queue: str) -> bool:
        """Resumes the queue. False if it was not paused."""
        return await self._database.fetchrow(RESUME, queue) is not None
