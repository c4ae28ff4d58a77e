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
import ssl
import time
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.policy import EmailPolicy
from email.utils import format_datetime, localtime
from typing import Any, Literal

import aiosmtplib
import msgspec

from filas.channels.invalid_content import InvalidContent
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
from notifier.channels.email_addresses import Envelope, MailAddress, address, envelope_of, in_header
from notifier.channels.email_attachments import AttachmentFetcher, Fetched, attachments_of
from notifier.channels.message_content import kind_of, media_of, numbered, sendable, text_of
from notifier.channels.provider_explanation import explained
from notifier.channels.smtp_connections import SmtpConnections

SECRET_FIELDS = ("password",)

TIMEOUT_S = 10.0
"""Seconds for one message in total, with the connection. The job's 15 s leave time to record the outcome."""

GREYLISTED_S = 300.0

_CREDENTIALS = frozenset({530, 534, 535, 538})
_FAILURES = (OutboundRefused, OutboundError, aiosmtplib.SMTPException, ssl.SSLError, OSError, TimeoutError)


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
    """Sends one mail to all recipients of a message, or to none if the server refuses one of them. Its `Message-ID` is
    the same at each attempt, so a mail server can recognise a repetition. Mail has no templates. Buttons become a
    numbered list."""

    def __init__(self, config: EmailConfig, connections: SmtpConnections, attachments: AttachmentFetcher) -> None:
        self._config = config
        self._connections = connections
        self._attachments = attachments
        self._redactor = Redactor()
        self._redactor.hide(config.password)
        self._sender = sender_of(config)
        self._domain = self._sender.domain

    async def deliver(self, message: OutgoingMessage) -> Result:
        """See `Channel.deliver`."""
        begun = time.monotonic()
        try:
            envelope = envelope_of(message)
            wanted = attachments_of(message.content)
            files = await self._attachments.fetch(wanted) if wanted else []
            if isinstance(files, TemporaryFailure | PermanentFailure):
                return files
            content = self._message(message, envelope, files).as_bytes(policy=_policy(envelope.needs_utf8))
        except InvalidContent as error:
            return PermanentFailure(reason=str(error), kind=error.kind)
        sending = _Sending(self._connections, self._sender.text, envelope)
        try:
            async with asyncio.timeout(TIMEOUT_S - (time.monotonic() - begun)):
                await sending.send(content)
        except _FAILURES as error:
            return self._failed(error, sending.stage)
        return Delivered(provider_id=f"{message.id}@{self._domain}", confirmed=False)

    def _failed(self, error: Exception, stage: str) -> Result:
        if isinstance(error, aiosmtplib.SMTPResponseException):
            return self._answered(error, stage)
        if isinstance(error, OutboundRefused):
            return PermanentFailure(reason=str(error), kind="refused")
        if isinstance(error, NeedsUtf8):
            return PermanentFailure(reason=str(error), kind="recipient")
        # The plain class means that the server lacks what the configuration requires: STARTTLS, or a login.
        if isinstance(error, aiosmtplib.SMTPNotSupported) or type(error) is aiosmtplib.SMTPException:
            return PermanentFailure(reason=f"the mail server does not support it: {error}", kind="configuration")
        if isinstance(error, OutboundError):
            return TemporaryFailure(reason=str(error), kind=error.kind)
        reason, kind = f"the connection to the mail server failed ({stage}): {_words(error)}", "communication"
        if isinstance(error, TimeoutError):
            reason, kind = f"the mail server did not finish within {TIMEOUT_S:g} s ({stage})", "timeout"
        return TemporaryFailure(reason=reason, kind=kind, uncertain=stage == "content")

    def _answered(self, error: aiosmtplib.SMTPResponseException, stage: str) -> Result:
        code = error.code
        reason = explained(f"the mail server answered {code} ({stage})", [str(error.message)], self._redactor.text)
        if not 200 <= code <= 599:
            kind = "malformed-answer"
            return TemporaryFailure(
                reason=f"the response of the mail server is invalid ({stage})", kind=kind, uncertain=stage == "content"
            )
        if code == 421:
            return TemporaryFailure(reason=reason, kind="busy", wait_for="channel", status_code=code)
        if code < 500:
            wait_for: Literal["recipient", "none"] = (
                "recipient" if stage.startswith(("recipient", "content")) else "none"
            )
            wait = GREYLISTED_S if wait_for == "recipient" else None
            return TemporaryFailure(reason=reason, kind="busy", after_s=wait, wait_for=wait_for, status_code=code)
        kind = "credentials" if code in _CREDENTIALS else "recipient" if stage.startswith("recipient") else "rejected"
        return PermanentFailure(reason=reason, kind=kind, status_code=code)

    def _message(self, message: OutgoingMessage, envelope: Envelope, files: list[Fetched]) -> EmailMessage:
        text, html = _bodies(message.content)
        mail = EmailMessage(policy=_policy(envelope.needs_utf8))
        subject = str(message.content.get("subject") or self._config.subject)
        try:
            mail["From"] = self._sender.header()
            mail["To"] = [one.header() for one in envelope.to]
            if envelope.cc:
                mail["Cc"] = [one.header() for one in envelope.cc]
            if envelope.reply_to:
                mail["Reply-To"] = [one.header() for one in envelope.reply_to]
            mail["Subject"] = in_header(subject)
            mail["Date"] = format_datetime(localtime())
            mail["Message-ID"] = f"<{message.id}@{self._domain}>"
            mail["X-Idempotency-Key"] = message.idempotency_key
            mail["Auto-Submitted"] = "auto-generated"
            mail.set_content(mark_surrogates(text))
            if html:
                mail.add_alternative(mark_surrogates(html), subtype="html")
            for file in files:
                main, _, subtype = file.content_type.partition("/")
                mail.add_attachment(file.content, maintype=main, subtype=subtype, filename=in_header(file.name))
        except (ValueError, UnicodeError, IndexError) as error:
            raise InvalidContent(f"the message cannot be written as a mail: {error}", "invalid") from None
        return mail


class NeedsUtf8(aiosmtplib.SMTPException):
    """An address is not ASCII, and the mail server has no SMTPUTF8."""


class _Sending:
    """Sends one message to the server. Before the stage `content`, nothing can have arrived."""

    def __init__(self, connections: SmtpConnections, sender: str, envelope: Envelope) -> None:
        self._connections = connections
        self._sender = sender
        self._recipients = envelope.recipients
        self._needs_utf8 = envelope.needs_utf8
        self.stage = "connecting"

    async def send(self, content: bytes) -> None:
        client = await self._connections.acquire()
        reusable = False
        try:
            if self._needs_utf8:
                await client.ehlo()
            if self._needs_utf8 and not client.supports_extension("smtputf8"):
                reusable = True
                raise NeedsUtf8("an address is not ASCII before the @, and the mail server has no SMTPUTF8")
            options, encoding = (["SMTPUTF8"], "utf-8") if self._needs_utf8 else (None, "ascii")
            self.stage = "sender"
            await client.mail(self._sender, options=options, encoding=encoding)
            for recipient in self._recipients:
                self.stage = "recipient" if len(self._recipients) == 1 else f"recipient {recipient}"
                await client.rcpt(recipient, encoding=encoding)
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


def _words(error: Exception) -> str:
    """What has happened to a connection, for the author of a flow."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "no encrypted connection could be made"
    if isinstance(error, ConnectionRefusedError):
        return "it accepts no connection at this port"
    if isinstance(error, ConnectionError | aiosmtplib.SMTPServerDisconnected):
        return "it closed the connection"
    if isinstance(error, OSError):
        return "it cannot be reached"
    return "its response is invalid"


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
        own_name=sender_of(checked).domain,
    )
    return EmailChannel(checked, connections, AttachmentFetcher(tools.outbound))


def sender_of(config: EmailConfig) -> MailAddress:
    """Returns the sender. Raises InvalidConfiguration."""
    try:
        found = address(config.sender, "`from`")
    except InvalidContent:
        raise InvalidConfiguration("`from` is not an e-mail address") from None
    if not found.is_ascii or found.name:
        raise InvalidConfiguration("`from` is not an e-mail address")
    return msgspec.structs.replace(found, name=in_header(config.sender_name))


def _policy(needs_utf8: bool) -> "EmailPolicy[EmailMessage]":
    return SMTP_POLICY.clone(utf8=True) if needs_utf8 else SMTP_POLICY


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
