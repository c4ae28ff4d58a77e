"""The channel `email`: SMTP, with TLS, text and HTML.

| response                                | effect                                                          |
|-----------------------------------------|-----------------------------------------------------------------|
| 2xx                                     | sent                                                            |
| 421, or no more connections             | pauses the channel                                              |
| another 4xx (greylisting, a full inbox) | waits for this recipient, 5 minutes at a time                   |
| 530, 534, 535, 538                      | `credentials`                                                   |
| 5xx to the recipient's address          | `recipient`                                                     |
| another 5xx                             | `rejected`                                                      |
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, localtime
from typing import Any, Literal

import aiosmtplib
import msgspec

from filas.channels.invalid_content import InvalidContent
from filas.channels.text_escapes import ZERO_WIDTH_SPACE
from filas.contract.storable_text import mark_surrogates
from filas.crypto.redaction import Redactor
from filas.errors import OutboundError, OutboundRefused
from notifier.channels.channel import (
    Delivered,
    InvalidConfiguration,
    OutgoingMessage,
    PermanentFailure,
    Result,
    TemporaryFailure,
    Tools,
    configuration,
)
from notifier.channels.message_content import kind_of, media_of, numbered, sendable, text_of
from notifier.channels.smtp_connections import SmtpConnections

SECRET_FIELDS = ("password",)

TIMEOUT_S = 10.0
"""Seconds for one message in total, with the connection. The job's 15 s leave time to record the outcome."""

GREYLISTED_S = 300.0

_CREDENTIALS = frozenset({530, 534, 535, 538})
_FAILURES = (OutboundRefused, OutboundError, aiosmtplib.SMTPException, ssl.SSLError, OSError, TimeoutError)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FORBIDDEN_IN_ADDRESS = frozenset(' ,;:<>()[]"\\')


class EmailConfig(msgspec.Struct, frozen=True, rename="camel"):
    """The configuration.

    `sender` (`from` in the configuration) is an address, and `sender_name` its display name. `security` is `tls` from
    the first byte, `starttls` (required), or `none`. `ca_certificate` is the PEM of the authority of the own server.
    `subject` is used for messages without one.
    """

    host: str
    sender: str = msgspec.field(name="from")
    port: int | None = None
    security: Literal["tls", "starttls", "none"] = "starttls"
    username: str | None = None
    password: str | None = None
    sender_name: str = ""
    subject: str = "Message"
    ca_certificate: str | None = None


class EmailChannel:
    """Sends one message per recipient. Its `Message-ID` is the same at each attempt, so a mail server can recognise a
    repetition. Mail has no templates. Buttons become a numbered list."""

    def __init__(self, config: EmailConfig, connections: SmtpConnections) -> None:
        self._config = config
        self._connections = connections
        self._redactor = Redactor()
        self._redactor.hide(config.password)
        self._domain = _checked(config.sender, "`from`", InvalidConfiguration).rpartition("@")[2]

    async def deliver(self, message: OutgoingMessage) -> Result:
        """See `Channel.deliver`."""
        try:
            to = _checked(message.to, "the recipient", InvalidContent)
            content = self._message(message, to).as_bytes(policy=SMTP_POLICY)
        except InvalidContent as error:
            return PermanentFailure(reason=str(error), kind=error.kind)
        sending = _Sending(self._connections, self._config.sender, to)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await sending.send(content)
        except _FAILURES as error:
            return self._failed(error, sending.stage)
        return Delivered(provider_id=f"{message.id}@{self._domain}", confirmed=False)

    def _failed(self, error: Exception, stage: str) -> Result:
        if isinstance(error, aiosmtplib.SMTPResponseException):
            return self._answered(error, stage)
        if isinstance(error, OutboundRefused):
            return PermanentFailure(reason=str(error), kind="refused")
        # The plain class means that the server lacks what the configuration requires: STARTTLS, or a login.
        if isinstance(error, aiosmtplib.SMTPNotSupported) or type(error) is aiosmtplib.SMTPException:
            return PermanentFailure(reason=f"the mail server does not support it: {error}", kind="configuration")
        if isinstance(error, OutboundError):
            return TemporaryFailure(reason=str(error), kind=error.kind)
        reason, kind = f"the connection to the mail server failed ({stage}): {type(error).__name__}", "communication"
        if isinstance(error, TimeoutError):
            reason, kind = f"the mail server did not finish within {TIMEOUT_S:g} s ({stage})", "timeout"
        return TemporaryFailure(reason=reason, kind=kind, uncertain=stage == "content")

    def _answered(self, error: aiosmtplib.SMTPResponseException, stage: str) -> Result:
        code = error.code
        text = self._redactor.text(str(error.message))
        reason = f"the mail server answered {code} ({stage}): {text}"
        if not 200 <= code <= 599:
            kind = "malformed-answer"
            return TemporaryFailure(
                reason=f"the response of the mail server is invalid ({stage})", kind=kind, uncertain=stage == "content"
            )
        if code == 421:
            return TemporaryFailure(reason=reason, kind="busy", wait_for="channel", status_code=code)
        if code < 500:
            wait_for: Literal["recipient", "none"] = "recipient" if stage in ("recipient", "content") else "none"
            wait = GREYLISTED_S if wait_for == "recipient" else None
            return TemporaryFailure(reason=reason, kind="busy", after_s=wait, wait_for=wait_for, status_code=code)
        kind = "credentials" if code in _CREDENTIALS else "recipient" if stage == "recipient" else "rejected"
        return PermanentFailure(reason=reason, kind=kind, status_code=code)

    def _message(self, message: OutgoingMessage, to: str) -> EmailMessage:
        text, html = _bodies(message.content)
        mail = EmailMessage()
        subject = str(message.content.get("subject") or self._config.subject)
        try:
            mail["From"] = Address(in_header(self._config.sender_name), addr_spec=self._config.sender)
            mail["To"] = Address(addr_spec=to)
            mail["Subject"] = in_header(subject)
            mail["Date"] = format_datetime(localtime())
            mail["Message-ID"] = f"<{message.id}@{self._domain}>"
            mail["X-Idempotency-Key"] = message.idempotency_key
            mail["Auto-Submitted"] = "auto-generated"
            mail.set_content(mark_surrogates(text))
            if html:
                mail.add_alternative(mark_surrogates(html), subtype="html")
        except (ValueError, UnicodeError, IndexError) as error:
            raise InvalidContent(f"the message cannot be written as a mail: {error}", "invalid") from None
        return mail


class _Sending:
    """Sends one message to the server. Before the stage `content`, nothing can have arrived."""

    def __init__(self, connections: SmtpConnections, sender: str, to: str) -> None:
        self._connections = connections
        self._sender = sender
        self._to = to
        self.stage = "connecting"

    async def send(self, content: bytes) -> None:
        client = await self._connections.acquire()
        reusable = False
        try:
            self.stage = "sender"
            await client.mail(self._sender)
            self.stage = "recipient"
            await client.rcpt(self._to)
            self.stage = "content"
            await client.data(content)
            reusable = True
        except aiosmtplib.SMTPResponseException as error:
            # The server refused this message but keeps the connection, unless it answers 421.
            reusable = 400 <= error.code < 600 and error.code != 421
            raise
        finally:
            if reusable:
                self._connections.release(client)
            else:
                client.close()


def build(config: dict[str, Any], tools: Tools) -> EmailChannel:
    """Returns the channel for `config`, whose secrets are decrypted. Raises InvalidConfiguration."""
    checked = configuration(config, EmailConfig)
    if (checked.username is None) != (checked.password is None):
        raise InvalidConfiguration("`username` and `password` go together")
    try:
        context = ssl.create_default_context(cadata=checked.ca_certificate)
    except (ssl.SSLError, ValueError):
        raise InvalidConfiguration("`caCertificate` is not a certificate in PEM") from None
    connections = SmtpConnections(
        tools.open_socket,
        checked.host,
        checked.port,
        security=checked.security,
        credentials=(checked.username, checked.password) if checked.username and checked.password else None,
        context=context,
        own_name=checked.sender.rpartition("@")[2],
    )
    return EmailChannel(checked, connections)


def in_header(text: str) -> str:
    """A text as the value of a header: in one line, without control characters and lone surrogates.

    A line break would begin another header. So would one in an encoded word (`=?utf-8?q?=0A…?=`), because Python's
    policy decodes encoded words of a value and writes their line breaks: a zero-width space keeps them from being read.
    """
    words = _CONTROL.sub(" ", mark_surrogates(text)).split()
    return " ".join(words).replace("=?", f"={ZERO_WIDTH_SPACE}?")


def _checked(address: str, what: str, failure: type[InvalidConfiguration] | type[InvalidContent]) -> str:
    """Returns `address` if it is exactly one address. The mail server checks the rest."""
    local, at, domain = address.rpartition("@")
    plain = address.isascii() and address.isprintable() and not _FORBIDDEN_IN_ADDRESS & set(address)
    if not (local and at and domain and plain):
        raise failure(f"{what} is not an e-mail address")
    return address


def _bodies(content: Mapping[str, Any]) -> tuple[str, str]:
    """Returns text and HTML (empty if there is none). Raises InvalidContent."""
    content = sendable(content, "email")
    kind = kind_of(content)
    if kind == "text":
        return text_of({"text": content.get("text")}), str(content.get("html") or "")
    if kind in ("buttons", "list"):
        return numbered({**content, "subject": None}), ""
    if kind == "media":
        media = media_of(content)
        return f"{media.caption}\n{media.url}" if media.caption else media.url, ""
    raise InvalidContent(f"e-mail cannot send the type {kind!r}")
