"""The small call that shows that Redis answers, on a connection of its own."""

import contextlib
from typing import Any

from redis import exceptions


class Beat:
    """Sends PING to the server, or to every primary of a Cluster."""

    def __init__(self, client: Any, *, cluster: bool) -> None:
        self._client = client
        self._cluster = cluster
        self._connection: Any = None

    async def send(self) -> None:
        """Returns when Redis has answered. Raises redis-py's error."""
        if self._cluster:
            await self._client.execute_command("PING", target_nodes="primaries")
            return
        if self._connection is None:
            self._connection = self._client.connection_pool.make_connection()
        connection = self._connection
        try:
            await connection.connect()
            await connection.send_command("PING", check_health=False)
            await connection.read_response()
        except BaseException:
            self._connection = None
            await connection.disconnect(nowait=True)
            raise

    async def renew(self) -> None:
        """Forgets what is known of the servers: the next beat connects again, to the present master."""
        if self._cluster:
            await self._client.aclose()
            await self._client.initialize()
        else:
            await self.close()

    async def drop_idle_connections(self) -> None:
        """Closes the connections that no command uses now."""
        if not self._cluster:
            await self._client.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """Closes the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(exceptions.RedisError, OSError):
                await connection.disconnect(nowait=True)
