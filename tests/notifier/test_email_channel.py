"""The channel `email` against a real SMTP server."""

import asyncio
import contextlib
import re
import resource
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from filas.outbound.client import OutboundClient
from notifier.channels import email
from notifier.channels.channel import (
    Channel,
    ConfigurationOfNewerVersion,
    Delivered,
    InvalidConfiguration,
    OutgoingMessage,
    PermanentFailure,
    TemporaryFailure,
    Tools,
)
from tests.notifier.mail import MailServer, certificate, mail_server
from tests.notifier.providers import BUTTONS, HOME, IMAGE, TEMPLATE, message
from tests.notifier.receiver import receiver
from tests.ports import free_port

MARIA = "maria@example.com"


@pytest.fixture
async def outbound() -> AsyncIterator[OutboundClient]:
    async with OutboundClient(HOME) as client:
        yield client


def channel(outbound: OutboundClient, server: MailServer, **config: object) -> Channel:
    whole = {"host": "127.0.0.1", "port": server.port, "security": "none", "from": "bot@filas.example", **config}
    return email.build(whole, Tools(outbound, print, outbound.open_socket))


def mail(content: dict[str, Any] | None = None, to: str = MARIA) -> OutgoingMessage:
    return message(content, to)


def server_context(directory: Path) -> tuple[ssl.SSLContext, str]:
    """A server's TLS, and the certificate that its clients must know."""
    public, key = certificate()
    path = directory / "server.pem"
    path.write_bytes(public + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, public.decode()


async def test_a_text_is_mailed_and_its_id_is_the_same_at_each_try(outbound: OutboundClient) -> None:
    async with mail_server() as server:
        sent = mail({"type": "text", "text": "Olá\n.\nMaria 🎉", "subject": "Atenção"})
        mailer = channel(outbound, server, senderName="Robô")
        result = await mailer.deliver(sent)
        assert result == Delivered(provider_id=f"{sent.id}@filas.example", confirmed=False)
        await mailer.deliver(sent)
    first, second = server.mails
    assert first["Message-ID"] == second["Message-ID"] == f"<{sent.id}@filas.example>"
    assert first["X-Idempotency-Key"] == "execution:5"
    assert (first["To"], first["Subject"], first["From"]) == (MARIA, "Atenção", "Robô <bot@filas.example>")
    assert first.get_content().replace("\r\n", "\n").strip() == "Olá\n.\nMaria 🎉"
    assert server.recipients == [MARIA, MARIA]


async def test_html_goes_beside_the_text(outbound: OutboundClient) -> None:
    async with mail_server() as server:
        await channel(outbound, server).deliver(mail({"type": "text", "text": "Olá", "html": "<b>Olá</b>"}))
    (got,) = server.mails
    assert got.get_content_type() == "multipart/alternative"
    plain, html = (got.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    assert (plain.get_content().strip(), html.get_content().strip()) == ("Olá", "<b>Olá</b>")
    assert got["Subject"] == "Message"


async def test_choices_and_media_are_written_out_and_templates_refused(outbound: OutboundClient) -> None:
    async with mail_server() as server:
        mailer = channel(outbound, server)
        await mailer.deliver(mail(BUTTONS))
        await mailer.deliver(mail(IMAGE))
        assert isinstance(await mailer.deliver(mail(TEMPLATE)), PermanentFailure)
    texts = [got.get_content().replace("\r\n", "\n").strip() for got in server.mails]
    assert texts == ["E agora?\n1. Sim\n2. Não", "A\nhttps://example.com/a.png"]


async def test_a_connection_serves_many_messages_and_is_opened_again_when_the_server_closed_it(
    outbound: OutboundClient,
) -> None:
    async with mail_server() as server:
        mailer = channel(outbound, server)
        for _ in range(3):
            assert isinstance(await mailer.deliver(mail()), Delivered)
        assert len(server.sessions) == 1
        server.reset_at = "MAIL"
        assert isinstance(await mailer.deliver(mail()), TemporaryFailure)
        server.reset_at = None
        assert isinstance(await mailer.deliver(mail()), Delivered)
    assert len(server.mails) == 4


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_tls_and_a_login_are_used_as_configured(outbound: OutboundClient, tmp_path: Path, security: str) -> None:
    context, authority = server_context(tmp_path)
    login = {"username": "bot", "password": "pa55word", "security": security, "host": "localhost"}
    async with mail_server(tls=context, implicit=security == "tls", password="pa55word") as server:
        result = await channel(outbound, server, caCertificate=authority, **login).deliver(mail())
        assert isinstance(result, Delivered), result
        unknown = await channel(outbound, server, **login).deliver(mail())
        wrong = await channel(outbound, server, caCertificate=authority, **(login | {"password": "wr0ngword"})).deliver(
            mail()
        )
    assert isinstance(unknown, TemporaryFailure), "its certificate is not to be trusted"
    assert isinstance(wrong, PermanentFailure)
    assert (wrong.kind, "wr0ngword" in wrong.reason) == ("credentials", False)
    assert len(server.mails) == 1


async def test_a_server_without_starttls_gets_nothing_in_the_clear(outbound: OutboundClient) -> None:
    async with mail_server() as server:
        result = await channel(outbound, server, security="starttls").deliver(mail())
    assert isinstance(result, PermanentFailure)
    assert (result.kind, server.mails) == ("configuration", [])


@pytest.mark.parametrize(
    ("command", "said", "kind", "wait_for", "after_s"),
    [
        ("MAIL", "421 4.7.0 try again later", "busy", "channel", None),
        ("RCPT", "421 too many connections", "busy", "channel", None),
        ("MAIL", "451 4.3.0 local error", "busy", "none", None),
        ("RCPT", "450 4.2.0 greylisted", "busy", "recipient", 300.0),
        ("RCPT", "452 4.2.2 mailbox full", "busy", "recipient", 300.0),
        ("DATA", "451 4.7.1 try again later", "busy", "recipient", 300.0),
    ],
)
async def test_a_server_that_answers_later_gets_the_message_later(
    outbound: OutboundClient, command: str, said: str, kind: str, wait_for: str, after_s: float | None
) -> None:
    async with mail_server() as server:
        server.answers[command] = said
        result = await channel(outbound, server).deliver(mail())
    assert isinstance(result, TemporaryFailure)
    assert (result.kind, result.wait_for, result.after_s) == (kind, wait_for, after_s)
    assert (result.status_code, result.uncertain) == (int(said[:3]), False)


@pytest.mark.parametrize(
    ("command", "said", "kind"),
    [
        ("MAIL", "550 5.7.1 not you", "rejected"),
        ("MAIL", "530 5.7.0 authentication required", "credentials"),
        ("RCPT", "550 5.1.1 no such user", "recipient"),
        ("DATA", "552 5.3.4 too big", "rejected"),
        ("DATA", "554 5.7.1 spam", "rejected"),
    ],
)
async def test_a_server_that_refuses_gets_the_message_once(
    outbound: OutboundClient, command: str, said: str, kind: str
) -> None:
    async with mail_server() as server:
        server.answers[command] = said
        mailer = channel(outbound, server)
        result = await mailer.deliver(mail())
        assert isinstance(result, PermanentFailure)
        assert (result.kind, result.status_code) == (kind, int(said[:3]))
        server.answers.clear()
        assert isinstance(await mailer.deliver(mail()), Delivered), "and the next message is none the worse for it"


@pytest.mark.parametrize(("command", "uncertain"), [("MAIL", False), ("RCPT", False), ("DATA", True)])
@pytest.mark.parametrize("how", ["silent_at", "reset_at"])
async def test_a_server_that_vanishes_leaves_it_uncertain_only_after_the_content(
    outbound: OutboundClient, monkeypatch: pytest.MonkeyPatch, command: str, uncertain: bool, how: str
) -> None:
    monkeypatch.setattr(email, "TIMEOUT_S", 0.5)
    async with mail_server() as server:
        setattr(server, how, command)
        result = await channel(outbound, server).deliver(mail())
    assert isinstance(result, TemporaryFailure)
    assert (result.kind, result.uncertain) == ("timeout" if how == "silent_at" else "communication", uncertain)


async def test_a_server_that_speaks_something_else_is_no_mail_server(outbound: OutboundClient) -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        state = MailServer(port=server.sockets[0].getsockname()[1])
        result = await channel(outbound, state).deliver(mail())
    assert isinstance(result, TemporaryFailure)
    assert not result.uncertain


async def test_an_answer_that_is_no_text_is_explained_on_one_line(outbound: OutboundClient) -> None:
    """A lone surrogate or a NUL would fail the writing of the attempt, or its span."""

    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"554-\xff\x00 not\r\n554 " + b"you " * 1000 + b"\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        state = MailServer(port=server.sockets[0].getsockname()[1])
        result = await channel(outbound, state).deliver(mail())
    assert isinstance(result, PermanentFailure), result
    assert result.reason.startswith("the mail server answered 554 (connecting): \\udcff not you you")
    assert result.reason.isprintable()
    assert len(result.reason) < 400


@pytest.mark.parametrize(
    "greeting", [b"", b"220-and so on\r\n" * 1000, b"x" * 8000], ids=["none", "endless", "no line"]
)
async def test_a_server_that_never_gets_to_the_point_is_left(
    outbound: OutboundClient, monkeypatch: pytest.MonkeyPatch, greeting: bytes
) -> None:
    """By the time limit or by the length of its response. Nothing was sent, and the response is not kept in memory."""
    monkeypatch.setattr(email, "TIMEOUT_S", 1.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while greeting:
                writer.write(greeting)
                await writer.drain()
            await asyncio.Event().wait()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        state = MailServer(port=server.sockets[0].getsockname()[1])
        result = await channel(outbound, state).deliver(mail())
    assert isinstance(result, TemporaryFailure), result
    assert (result.uncertain, result.wait_for) == (False, "none")
    assert len(result.reason) < 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024, "in KiB"


async def test_a_private_mail_server_is_refused_and_an_absent_one_tried_again(outbound: OutboundClient) -> None:
    async with mail_server() as server:
        async with OutboundClient() as guarded:
            refused = await channel(guarded, server).deliver(mail())
        assert server.sessions == set()
    absent = await channel(outbound, server).deliver(mail())
    assert isinstance(refused, PermanentFailure)
    assert refused.kind == "refused"
    assert isinstance(absent, TemporaryFailure)
    assert (absent.kind, absent.uncertain) == ("communication", False)


@pytest.mark.parametrize(
    "to",
    ["maria", "@example.com", "maria@", "a b@c.example", "a@b.example\r\nBcc: x@y.z", "", "a@b@c.d"],
)
async def test_what_is_no_address_gets_no_mail(outbound: OutboundClient, to: str) -> None:
    async with mail_server() as server:
        result = await channel(outbound, server).deliver(mail(to=to))
    assert isinstance(result, PermanentFailure)
    assert (server.sessions, result.kind) == (set(), "invalid")


async def test_text_that_is_no_unicode_is_mailed_as_far_as_it_is(outbound: OutboundClient) -> None:
    """A lone surrogate, as JSON may carry it, fails no message."""
    async with mail_server() as server:
        content = {"type": "text", "text": "a\udcffb", "html": "<b>a\udcffb</b>", "subject": "s\udcff"}
        assert isinstance(await channel(outbound, server).deliver(mail(content)), Delivered)
    (got,) = server.mails
    plain = got.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().strip() == "a?b"


SUBJECTS = {
    "Hi\r\nBcc: eve@example.com": "Hi Bcc: eve@example.com",
    "Hi\x0b\x85\u2028Bcc: eve@example.com": "Hi Bcc: eve@example.com",
    "Hi =?utf-8?q?=0ABcc:_eve@example.com?=": "Hi =\u200b?utf-8?q?=0ABcc:_eve@example.com?=",
    "Hi =?utf-8?b?DQpCY2M6IGV2ZUBleGFtcGxlLmNvbQ==?=": "Hi =\u200b?utf-8?b?DQpCY2M6IGV2ZUBleGFtcGxlLmNvbQ==\u200b?=",
    "=?us-ascii?q?=0D=0A=0D=0Abody?=": "=\u200b?us-ascii?q?=0D=0A=0D=0Abody?=",
    "a\0b\x1bc": "a b c",
    "é" * 300 + " Bcc: x": "é" * 300 + " Bcc: x",
}


@pytest.mark.parametrize(("subject", "read"), SUBJECTS.items(), ids=range(len(SUBJECTS)))
async def test_a_subject_can_not_begin_another_header(outbound: OutboundClient, subject: str, read: str) -> None:
    """Python's mail policy writes the line breaks of an encoded word into the message."""
    async with mail_server() as server:
        await channel(outbound, server).deliver(mail({"type": "text", "text": "x", "subject": subject}))
    (got,) = server.mails
    assert (got["Bcc"], got["Subject"], got.get_content().strip()) == (None, read, "x")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"host": "mail.example"},
        {"host": "mail.example", "from": "none"},
        {"host": "mail.example", "from": "a@b.example", "password": "pa55word"},
        {"host": "mail.example", "from": "a@b.example", "caCertificate": "pa55word"},
    ],
)
async def test_a_wrong_configuration_is_named_without_its_secret(
    outbound: OutboundClient, config: dict[str, object]
) -> None:
    with pytest.raises(InvalidConfiguration) as wrong:
        email.build(config, Tools(outbound, print, outbound.open_socket))
    assert "pa55word" not in str(wrong.value)


async def test_a_value_of_a_newer_version_is_left_to_a_newer_worker(outbound: OutboundClient) -> None:
    config = {"host": "mail.example", "from": "a@b.example", "security": "perhaps"}
    with pytest.raises(ConfigurationOfNewerVersion):
        email.build(config, Tools(outbound, print, outbound.open_socket))


# ---- recipients and attachments --------------------------------------------------------------------

LIMA = '"Lima, Ana" <a@b.example>'
NOTE = {"type": "text", "text": "Olá"}


@pytest.mark.parametrize(
    ("to", "recipients", "header"),
    [
        ("a@b.example, c@d.example", ["a@b.example", "c@d.example"], "a@b.example, c@d.example"),
        ("a@b.example; c@d.example;", ["a@b.example", "c@d.example"], "a@b.example, c@d.example"),
        ('["a@b.example","c@d.example"]', ["a@b.example", "c@d.example"], "a@b.example, c@d.example"),
        ("Ana Lima <a@b.example>", ["a@b.example"], "Ana Lima <a@b.example>"),
        (f"{LIMA}; c@d.example", ["a@b.example", "c@d.example"], f"{LIMA}, c@d.example"),
        ("ana@padaria-josé.example", ["ana@xn--padaria-jos-lbb.example"], "ana@xn--padaria-jos-lbb.example"),
        ("a@b.example, a@b.example", ["a@b.example"], "a@b.example, a@b.example"),
    ],
)  # fmt: skip
async def test_a_mail_has_several_recipients(
    outbound: OutboundClient, to: str, recipients: list[str], header: str
) -> None:
    async with mail_server() as server:
        result = await channel(outbound, server).deliver(mail(NOTE, to))
        assert isinstance(result, Delivered), result
    assert server.recipients == recipients
    assert [str(got["To"]) for got in server.mails] == [header]


async def test_copies_and_the_address_of_answers(outbound: OutboundClient) -> None:
    content = NOTE | {"cc": ["c@d.example", "e@f.example"], "bcc": "g@h.example", "replyTo": "Loja <loja@b.example>"}
    async with mail_server() as server:
        assert isinstance(await channel(outbound, server).deliver(mail(content)), Delivered)
    (got,) = server.mails
    assert server.recipients == [MARIA, "c@d.example", "e@f.example", "g@h.example"]
    assert (got["Cc"], got["Reply-To"]) == ("c@d.example, e@f.example", "Loja <loja@b.example>")
    assert "g@h.example" not in got.as_string()


async def test_a_mail_of_which_a_recipient_is_refused_goes_to_none(outbound: OutboundClient) -> None:
    """The error names the address. A repetition after a correction then reaches no one twice."""
    async with mail_server() as server:
        server.answers["RCPT"] = "550 5.1.1 no such user"
        result = await channel(outbound, server).deliver(mail(NOTE, "a@b.example, c@d.example"))
    assert isinstance(result, PermanentFailure)
    assert (result.kind, server.mails) == ("recipient", [])
    assert "recipient a@b.example" in result.reason
    assert "no such user" in result.reason


@pytest.mark.parametrize("has_extension", [True, False])
async def test_an_address_that_is_not_ascii_needs_smtputf8(outbound: OutboundClient, has_extension: bool) -> None:
    async with mail_server(utf8=has_extension) as server:
        result = await channel(outbound, server).deliver(mail(NOTE, "josé@b.example"))
    if has_extension:
        assert isinstance(result, Delivered), result
        assert server.recipients == ["josé@b.example"]
        assert str(server.mails[0]["To"]) == "josé@b.example"
    else:
        assert isinstance(result, PermanentFailure)
        assert (result.kind, server.recipients) == ("recipient", [])
        assert "SMTPUTF8" in result.reason


@pytest.mark.parametrize("field", ["cc", "bcc", "replyTo"])
@pytest.mark.parametrize("value", ["not an address", ["a@b.example", "x"], 5, ["a@b.example\r\nX: y"]])
async def test_an_invalid_address_is_named(outbound: OutboundClient, field: str, value: Any) -> None:
    async with mail_server() as server:
        result = await channel(outbound, server).deliver(mail(NOTE | {field: value}))
    assert isinstance(result, PermanentFailure)
    assert (result.kind, server.sessions) == ("invalid", set())
    assert f"`{field}` is not an e-mail address" in result.reason


async def test_attachments_are_fetched_and_sent(outbound: OutboundClient) -> None:
    pdf = b"%PDF-1.4 \x00\xff" * 100

    async def behave(request: web.Request) -> web.StreamResponse:
        kind = "application/pdf" if request.path.endswith("pdf") else "application/octet-stream"
        return web.Response(body=pdf, content_type=kind)

    async with receiver(behave) as files, mail_server() as server:
        wanted = [{"url": f"{files.url}/nota%20fiscal.pdf?t=1"}, {"url": f"{files.url}/x", "name": "../fotos/casa.png"}]
        result = await channel(outbound, server).deliver(mail(NOTE | {"html": "<b>x</b>", "attachments": wanted}))
        assert isinstance(result, Delivered), result
    (got,) = server.mails
    sent = [(one.get_filename(), one.get_content_type(), one.get_content()) for one in got.iter_attachments()]
    assert sent == [("nota fiscal.pdf", "application/pdf", pdf), ("casa.png", "image/png", pdf)]
    body = got.get_body(("plain",))
    assert body is not None
    assert body.get_content().strip() == "Olá"


@pytest.mark.parametrize(
    ("status", "size", "expected", "kind", "words"),
    [
        (404, 1, PermanentFailure, "media", "attachments[0]: its address answered 404"),
        (503, 1, TemporaryFailure, "media", "attachments[0]: its address answered 503"),
        (200, 9 * 1024 * 1024, PermanentFailure, "too-long", "the attachments are larger than 8 MiB together"),
    ],
)
async def test_a_mail_whose_attachment_cannot_be_fetched_is_not_sent(
    outbound: OutboundClient, status: int, size: int, expected: type[Any], kind: str, words: str
) -> None:
    async def behave(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=b"x" * size)

    async with receiver(behave) as files, mail_server() as server:
        result = await channel(outbound, server).deliver(mail(NOTE | {"attachments": [{"url": f"{files.url}/a"}]}))
    assert isinstance(result, expected)
    assert (result.kind, server.sessions) == (kind, set())
    assert words in result.reason


async def test_the_guard_refuses_a_private_address_of_an_attachment() -> None:
    async with mail_server() as server, OutboundClient() as guarded:
        content = NOTE | {"attachments": [{"url": "http://169.254.169.254/latest/meta-data"}]}
        result = await channel(guarded, server).deliver(mail(content))
    assert isinstance(result, PermanentFailure)
    assert (result.kind, server.sessions) == ("refused", set())


@pytest.mark.parametrize("value", ["x", [{"name": "a"}], [{"url": "http://127.0.0.1/a"}] * 11])
async def test_invalid_attachments_are_refused(outbound: OutboundClient, value: Any) -> None:
    async with mail_server() as server:
        result = await channel(outbound, server).deliver(mail(NOTE | {"attachments": value}))
    assert isinstance(result, PermanentFailure)
    assert result.kind in ("invalid", "too-long")


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_broken_connection_is_described_in_words(outbound: OutboundClient, command: str) -> None:
    async with mail_server() as server:
        server.reset_at = command
        result = await channel(outbound, server).deliver(mail())
    assert isinstance(result, TemporaryFailure)
    assert re.fullmatch(r"the connection to the mail server failed \(\w+\): it closed the connection", result.reason)


async def test_what_the_mail_server_does_before_the_message_is_described_in_words(
    outbound: OutboundClient, tmp_path: Path
) -> None:
    """No server listens; and its certificate is of an authority that is not known."""
    absent = MailServer(port=free_port())
    result = await channel(outbound, absent).deliver(mail())
    assert isinstance(result, TemporaryFailure)
    assert result.reason == f"127.0.0.1:{absent.port} refused the connection"
    unknown = await channel(outbound, absent, host="mail.invalid").deliver(mail())
    assert isinstance(unknown, TemporaryFailure)
    assert unknown.reason == "the host mail.invalid is not known"
    context, _ = server_context(tmp_path)
    async with mail_server(tls=context) as server:
        result = await channel(outbound, server, security="starttls", host="localhost").deliver(mail())
    assert isinstance(result, TemporaryFailure)
    assert "its certificate is not trusted: self" in result.reason
