"""Connections of redis-py that pack their commands with hiredis, and lose no cancellation.

redis-py's own for asyncio puts a command together in Python, an argument at a time and each time anew: for the
thousands of arguments of a batch that takes longer than all else that this process does for its jobs.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import hiredis
from redis import exceptions
from redis.asyncio import connection, sentinel


class _Batched:
    def pack_command(self, *args: Any) -> list[bytes]:
        """`args` in Redis' protocol. A name of several words, `CONFIG GET`, is several arguments."""
        name = args[0].encode() if isinstance(args[0], str) else args[0]
        return [hiredis.pack_command((*name.split(), *args[1:]))]

    async def can_read_destructive(self) -> bool:
        """Whether something came unasked, the end above all, so that the connection can't be used again.

        redis-py tries to read for no time at all: that time-out takes a cancellation of its caller that comes in the
        same turn for its own, so the caller goes on. What has come stands in the stream's buffer without that.
        """
        connected: Any = self
        stream, replies = connected._reader, connected._parser._reader
        return bool(stream.at_eof() or stream.exception() or stream._buffer or replies.has_data())

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """Send what `pack_command` made. redis-py waits with asyncio.wait_for, which on Python 3.11 forgets a
        cancellation when the command has gone out in the same turn."""
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


class Connection(_Batched, connection.Connection):
    """To a server."""


class SSLConnection(_Batched, connection.SSLConnection):
    """To a server, with TLS."""


class SentinelConnection(_Batched, sentinel.SentinelManagedConnection):
    """To the master that Sentinels name."""


class SentinelSSLConnection(_Batched, sentinel.SentinelManagedSSLConnection):
    """To the master that Sentinels name, with TLS."""
