"""Connections to one mail server, which are reused for a while."""

import asyncio
import contextlib
import ssl
from typing import Literal

import aiosmtplib

from notifier.channels.channel import OpenSocket

MAX_IDLE = 4
IDLE_S = 20.0
CONNECT_TIMEOUT_S = 8.0

_PORTS = {"tls": 465, "starttls": 587, "none": 25}


class SmtpConnections:
    """Opens connections through the outbound guard, logs in, and keeps a few idle ones for IDLE_S seconds.

    `own_name` is the name in HELO. Raises the errors of `OpenSocket` and of aiosmtplib.
    """

    def __init__(
        self,
        open_socket: OpenSocket,
        host: str,
        port: int | None,
        *,
        security: Literal["tls", "starttls", "none"],
        credentials: tuple[str, str] | None,
        context: ssl.SSLContext,
        own_name: str,
    ) -> None:
        self._open_socket = open_socket
        self._host = host
        self._port = port or _PORTS[security]
        self._security = security
        self._credentials = credentials
        self._context = context
        self._own_name = own_name
        self._idle: list[tuple[aiosmtplib.SMTP, asyncio.TimerHandle]] = []

    async def acquire(self) -> aiosmtplib.SMTP:
        """Returns a connection for one message. The caller releases or closes it."""
        while self._idle:
            client, timer = self._idle.pop()
            timer.cancel()
            try:
                # The server may have closed the connection. RSET finds that out before the message is sent.
                await client.rset()
            except (aiosmtplib.SMTPException, OSError):
                client.close()
            except BaseException:
                client.close()
                raise
            else:
                return client
        return await self._open()

    def release(self, client: aiosmtplib.SMTP) -> None:
        """Keeps the connection for the next message, unless enough are idle."""
        if len(self._idle) >= MAX_IDLE or not client.is_connected:
            client.close()
            return
        timer = asyncio.get_running_loop().call_later(IDLE_S, self._expire, client)
        self._idle.append((client, timer))

    def _expire(self, client: aiosmtplib.SMTP) -> None:
        self._idle = [(other, timer) for other, timer in self._idle if other is not client]
        client.close()

    async def _open(self) -> aiosmtplib.SMTP:
        connection = await self._open_socket(self._host, self._port, timeout_s=CONNECT_TIMEOUT_S)
        username, password = self._credentials or (None, None)
        client = aiosmtplib.SMTP(
            hostname=self._host,
            sock=connection,
            local_hostname=self._own_name,
            username=username,
            password=password,
            use_tls=self._security == "tls",
            start_tls=self._security == "starttls",
            tls_context=self._context,
            timeout=CONNECT_TIMEOUT_S,
        )
        try:
            await client.connect()
        except BaseException:
            client.close()
            with contextlib.suppress(OSError):
                connection.close()
            raise
        return client
