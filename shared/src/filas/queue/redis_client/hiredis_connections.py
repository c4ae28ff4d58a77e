"""redis-py's connections, with commands encoded by hiredis and without lost cancellations.

redis-py encodes a command for asyncio in Python, one argument at a time. For the thousands of arguments of a batch,
that takes longer than everything else that a process does for its jobs.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import hiredis
from redis import exceptions
from redis.asyncio import connection, sentinel


class _HiredisCommands:
    def pack_command(self, *args: Any) -> list[bytes]:
        """Encodes `args` in Redis' protocol. A name of several words, such as `CONFIG GET`, is several arguments."""
        name = args[0].encode() if isinstance(args[0], str) else args[0]
        return [hiredis.pack_command((*name.split(), *args[1:]))]

    async def can_read_destructive(self) -> bool:
        """Whether unexpected data or the end of the stream has arrived, so that the connection cannot be used again.

        redis-py reads with a time-out of zero. That time-out swallows a cancellation of the caller that happens in the
        same iteration of the event loop. This method inspects the stream's buffer instead.
        """
        connected: Any = self
        stream, replies = connected._reader, connected._parser._reader
        return bool(stream.at_eof() or stream.exception() or stream._buffer or replies.has_data())

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """Sends an encoded command.

        redis-py waits with asyncio.wait_for, which on Python 3.11 forgets a cancellation if the command was sent in
        the same iteration of the event loop. asyncio.timeout does not.
        """
        connected: Any = self
        if not connected.is_connected:
            await connected.connect()
        if check_health:
            await connected.check_health()
        try:
            async with asyncio.timeout(connected.socket_timeout):
                await connected._send_packed_command(command)
        except BaseException as error:
            await connected.disconnect(nowait=True)
            if isinstance(error, TimeoutError):
                raise exceptions.TimeoutError("Timeout writing to socket") from error
            if isinstance(error, OSError):
                raise exceptions.ConnectionError(f"Error while writing to socket: {error}") from error
            raise


class Connection(_HiredisCommands, connection.Connection):
    """A connection to a server."""


class SSLConnection(_HiredisCommands, connection.SSLConnection):
    """A connection to a server, with TLS."""


class SentinelConnection(_HiredisCommands, sentinel.SentinelManagedConnection):
    """A connection to the master that the Sentinels name."""


class SentinelSSLConnection(_HiredisCommands, sentinel.SentinelManagedSSLConnection):
    """A connection to the master that the Sentinels name, with TLS."""
