"""The small statement that shows that Postgres answers, on a connection of its own."""

from __future__ import annotations

import asyncpg


class Beat:
    """Runs `select 1`. The connection is opened for the first beat and kept for the next one."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def send(self) -> None:
        """Returns when the server has answered. Raises the driver's error."""
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._dsn)
            await self._connection.execute("select 1")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
