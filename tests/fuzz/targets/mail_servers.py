"""Answers of a mail server: one result, without the password, within the time limit, whatever the server answers.

Input: `SECURITY RECIPIENT`, then the answers, which an empty line separates. Each is sent when the client has written
something, the first one when it has connected. The server closes the connection after the last one, except if that ends
with `...`: then it stays silent.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from notifier.channels import email, smtp_connections
from notifier.channels.channel import Delivered, OutgoingMessage, PermanentFailure, TemporaryFailure, Tools
from tests.fuzz.target import chosen, first_line
from tests.fuzz.virtual_time import VirtualTimeLoop

WORDS = (
    "none", "starttls", "login", "\n\n", "220 a.example ESMTP", "250 AUTH PLAIN LOGIN CRAM-MD5", "250 SMTPUTF8",
    "250-STARTTLS", "250-SIZE 1000", "250-AUTH=LOGIN", "235 2.7.0 ok", "334 ", "334 PGE+", "334 VXNlcm5hbWU6", "354 go",
    "250 ok", "250-", "421 busy", "450 4.2.0 greylisted", "452 full", "530 login first", "535 no", "550 5.1.1 unknown",
    "552", "554 spam", "-1", "999 ", "000 ", "\r", "\x00", "...", "hunter2-hunter2", "\xff",
)  # fmt: skip
END = b"\r\n.\r\n"
"""The end of the content of a mail."""

SECRET = "hunter2-hunter2"
MAX_REASON = 1000
"""The longest reason of a failure, with an address. The first 500 characters are stored with each attempt."""

BASE = {"host": "mail.example", "from": "bot@filas.example", "security": "none"}
LOGIN = {"username": "bot", "password": SECRET}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "none": BASE,
    "login": BASE | LOGIN,
    "starttls": BASE | LOGIN | {"security": "starttls"},
}


class _Server(asyncio.Transport):
    """The other end of a connection: answers whatever the client writes with the next text."""

    def __init__(self, loop: "_Loop", protocol: Any, answers: list[bytes]) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._answers = answers
        self._closing = False
        loop.call_soon(protocol.connection_made, self)
        loop.call_soon(self._answer)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: Any) -> None:
        self._loop.sent += data
        self._loop.call_soon(self._answer)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    def _answer(self) -> None:
        if self._closing:
            return
        answer = self._answers.pop(0) if self._answers else None
        if answer is not None and answer != b"...":
            self._protocol.data_received(answer + b"\r\n")
        elif answer is None:
            self._protocol.eof_received()
            self.close()


class _Loop(VirtualTimeLoop):
    """Connects to a `_Server` with these answers, however often."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[bytes] = []
        self.sent = bytearray()

    async def create_connection(self, protocol_factory: Callable[[], Any], *_: Any, **__: Any) -> Any:
        protocol = protocol_factory()
        server = _Server(self, protocol, self.answers)
        await asyncio.sleep(0)
        return server, protocol

    async def start_tls(self, *_: Any, **__: Any) -> Any:
        raise ConnectionResetError


class _Socket:
    """What `open_socket` returns here: the loop does not use it."""

    def close(self) -> None:
        pass


async def _open_socket(host: str, port: int, *, timeout_s: float) -> Any:
    return _Socket()


class _NoOutbound:
    async def request(self, method: str, url: str, **options: object) -> Any:
        raise AssertionError("a mail without attachments calls no address")


def _ignored(_line: str) -> None:
    pass


_LOOP = _Loop()
_TOOLS = Tools(_NoOutbound(), _ignored, _open_socket)
MAILERS = {name: email.build(one, _TOOLS) for name, one in CONFIGURATIONS.items()}


def fuzz(data: bytes) -> None:
    """Sends one mail on a new connection, and another one, which may use the same connection."""
    line, rest = first_line(data)
    security, _, to = line.partition(" ")
    _LOOP.answers = [one.replace(b"\n", b"\r\n") for one in rest.split(b"\n\n")]
    asyncio.set_event_loop(_LOOP)
    _LOOP.sent.clear()
    mailer = chosen(MAILERS, security)
    content = {"type": "text", "text": "Olá\n.\nMaria", "subject": "a"}
    message = OutgoingMessage(
        id=UUID(int=1), to=to or "maria@example.com", content=content, idempotency_key="k", execution_id=None
    )
    logging.disable(logging.CRITICAL)
    try:
        _LOOP.run(_send_two(mailer, message, has_password=mailer is not MAILERS["none"]))
    finally:
        logging.disable(logging.NOTSET)
        asyncio.set_event_loop(None)


async def _send_two(mailer: email.EmailChannel, message: OutgoingMessage, *, has_password: bool) -> None:
    for _ in range(2):
        began, already_sent = _LOOP.time(), _LOOP.sent.count(END)
        result = await mailer.deliver(message)
        assert _LOOP.time() - began <= email.TIMEOUT_S + 0.1, "it has waited for too long"
        assert isinstance(result, Delivered | TemporaryFailure | PermanentFailure)
        written = msgspec.json.encode(result).decode()
        assert SECRET not in written or not has_password or SECRET in message.to
        if not isinstance(result, Delivered):
            assert len(result.reason) <= MAX_REASON, len(result.reason)
            assert result.reason.isprintable(), result.reason
        has_sent = _LOOP.sent.count(END) > already_sent
        if isinstance(result, Delivered) or getattr(result, "uncertain", False):
            assert has_sent or "content" in written, written
        if has_sent and isinstance(result, TemporaryFailure) and result.status_code is None:
            assert result.uncertain, "the server may have the mail"
    await asyncio.sleep(2 * smtp_connections.IDLE_S)  # no connection is left for the next input
