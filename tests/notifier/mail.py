"""A real SMTP server on this machine. The test sets its behaviour, and it keeps what it received."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class MailServer:
    """`answers` are the responses other than "250 OK", by command (`MAIL`, `RCPT`, `DATA`)."""

    answers: dict[str, str] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    sessions: set[int] = field(default_factory=set)
    port: int = 0
    silent_at: str | None = None
    """The command after which it no longer responds."""

    reset_at: str | None = None
    """The command at which it breaks the connection."""

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.sessions.add(id(session))
        envelope.mail_from = address
        return await self._said(server, "MAIL")

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        said = await self._said(server, "RCPT")
        if said.startswith("2"):
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        said = await self._said(server, "DATA")
        if said.startswith("2"):
            content = cast("bytes", envelope.content)
            self.mails.append(cast("EmailMessage", message_from_bytes(content, policy=cast("Any", default))))
            self.recipients += envelope.rcpt_tos
        return said

    async def _said(self, server: SMTP, command: str) -> str:
        if self.reset_at == command:
            cast("asyncio.Transport", server.transport).abort()
        if command in (self.silent_at, self.reset_at):
            await asyncio.Event().wait()
        return self.answers.get(command, "250 OK")


def certificate() -> tuple[bytes, bytes]:
    """Certificate and key (PEM) of a server called `localhost`, its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        made.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, implicit: bool = False, password: str | None = None, utf8: bool = False
) -> AsyncIterator[MailServer]:
    """Serves on a port of its own while the block runs: TLS at once (`implicit`) or by STARTTLS, and a login as
    `bot` with that password before anything else."""
    state = MailServer()

    def authenticator(server: object, session: object, envelope: object, mechanism: str, data: Any) -> AuthResult:
        known = data.login == b"bot" and data.password == (password or "").encode()
        return AuthResult(success=known, handled=False)

    def protocol() -> SMTP:
        options: dict[str, Any] = {"hostname": "mail.test", "enable_SMTPUTF8": utf8}
        if tls is not None and not implicit:
            options |= {"tls_context": tls, "require_starttls": True}
        if password is not None:
            options |= {
                "authenticator": authenticator,
                "auth_required": True,
                "auth_require_tls": tls is not None and not implicit,
            }
        return SMTP(state, **options)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls if implicit else None)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
