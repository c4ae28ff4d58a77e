"""The small statement that shows that Postgres answers, on a connection of its own."""

from __future__ import annotations

import asyncpg

from filas.repository import schema


class Beat:
    """Runs `select 1`. Its session is shown as `NAME-watch` in pg_stat_activity."""

    def __init__(self, dsn: str, application_name: str) -> None:
        self._dsn = dsn
        self._settings = {"application_name": f"{application_name}-watch"}
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def connect(self) -> asyncpg.Connection[asyncpg.Record]:
        """Opens a new connection, which is used from now on, and returns it. Raises the driver's error."""
        self.close()
        self._connection = await asyncpg.connect(
            self._dsn, timeout=schema.CONNECT_TIMEOUT_S, server_settings=self._settings
        )
        return self._connection

    async def send(self) -> None:
        """Returns when the server has answered. Raises the driver's error."""
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self.connect()
        try:
            await connection.execute("select 1")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
