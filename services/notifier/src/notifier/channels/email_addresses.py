"""The addresses of an e-mail. Pure.

A domain is written in ASCII (IDNA), so every mail server knows it. A local part that is not ASCII needs the extension
SMTPUTF8 (RFC 6531) of the mail server.
"""

import json
import re
from email.headerregistry import Address
from typing import Any, Final

import msgspec
from yarl import URL

from filas.channels.invalid_content import InvalidContent
from filas.channels.text_escapes import ZERO_WIDTH_SPACE
from filas.contract.storable_text import mark_surrogates
from notifier.channels.channel import OutgoingMessage

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
MAX_RECIPIENTS: Final = 50
MAX_CHARS: Final = 10_000

_SEPARATOR: Final = re.compile(r'("(?:[^"\\]|\\.)*"|<[^<>]*>)|[,;\n]')
_NAMED: Final = re.compile(r"(.*)<([^<>]*)>", re.DOTALL)
_FORBIDDEN: Final = frozenset(' ,;:<>()[]"\\')


class MailAddress(msgspec.Struct, frozen=True):
    """An address as `local@domain`, with its domain in ASCII, and the display name beside it."""

    local: str
    domain: str
    name: str = ""

    @property
    def text(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def is_ascii(self) -> bool:
        return self.local.isascii()

    def header(self) -> Address:
        """Returns the form for a header of the mail."""
        return Address(self.name, self.local, self.domain)


class Envelope(msgspec.Struct, frozen=True):
    """The recipients of a mail: `to`, `cc` and `bcc`, and the addresses to which an answer goes."""

    to: list[MailAddress]
    cc: list[MailAddress]
    bcc: list[MailAddress]
    reply_to: list[MailAddress]

    @property
    def recipients(self) -> list[str]:
        """Each address once, in order."""
        return list(dict.fromkeys(one.text for one in (*self.to, *self.cc, *self.bcc)))

    @property
    def needs_utf8(self) -> bool:
        """True if the mail server must have the extension SMTPUTF8."""
        return not all(one.is_ascii for one in (*self.to, *self.cc, *self.bcc, *self.reply_to))


def addresses(given: Any, field: str) -> list[MailAddress]:
    """Returns the addresses in a text, which a comma, a semicolon or a line break separates, or in a list of texts.
    `Ana <ana@example.com>` has a display name. Raises InvalidContent, which names `field`."""
    texts = _json_list(given) if isinstance(given, str) else given
    found = [one for text in (texts if isinstance(texts, list) else [texts]) for one in _of_text(text, field)]
    if len(found) > MAX_RECIPIENTS:
        raise InvalidContent(f"{field} has {len(found)} addresses; at most {MAX_RECIPIENTS} are sent to", "too-long")
    return found


def address(text: str, field: str) -> MailAddress:
    """Returns one address. Raises InvalidContent, which names `field` and the text."""
    named = _NAMED.fullmatch(text.strip())
    name, plain = (named.group(1).strip().strip('"'), named.group(2).strip()) if named else ("", text.strip())
    local, at, domain = plain.rpartition("@")
    if not (local and at and domain and plain.isprintable() and not _FORBIDDEN & set(plain)) or "@" in local:
        raise InvalidContent(f"{field} is not an e-mail address: {text[:80]!r}", "invalid")
    return MailAddress(local, _ascii_domain(domain, text, field), in_header(name))


def envelope_of(message: OutgoingMessage) -> Envelope:
    """Returns the recipients. Raises InvalidContent."""
    content = message.content
    to = addresses(message.to, "the recipient")
    cc, bcc, reply_to = (addresses(content.get(name) or "", f"`{name}`") for name in ("cc", "bcc", "replyTo"))
    if not to:
        raise InvalidContent("the recipient is not an e-mail address", "invalid")
    count = len(to) + len(cc) + len(bcc)
    if count > MAX_RECIPIENTS:
        raise InvalidContent(f"the message has {count} recipients; at most {MAX_RECIPIENTS} are sent to", "too-long")
    return Envelope(to, cc, bcc, reply_to)


def _of_text(text: Any, field: str) -> list[MailAddress]:
    if not isinstance(text, str) or len(text) > MAX_CHARS:
        raise InvalidContent(f"{field} is not an e-mail address", "invalid")
    pieces, begin = [], 0
    for found in _SEPARATOR.finditer(text):
        if found.group(1) is None:
            pieces.append(text[begin : found.start()])
            begin = found.end()
    pieces.append(text[begin:])
    return [address(piece, field) for piece in pieces if piece.strip()]


def _json_list(text: str) -> Any:
    """Returns the list that a template has written as JSON, or the text."""
    if not text.lstrip().startswith("["):
        return text
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, list) else text


def _ascii_domain(domain: str, text: str, field: str) -> str:
    if domain.isascii():
        return domain
    try:
        return URL.build(scheme="http", host=domain).raw_host or domain
    except ValueError:
        raise InvalidContent(f"{field} is not an e-mail address: {text[:80]!r}", "invalid") from None


def in_header(text: str) -> str:
    """A text as the value of a header: in one line, without control characters and lone surrogates.

    A line break would begin another header. So would one in an encoded word (`=?utf-8?q?=0A…?=`), because Python's
    policy decodes encoded words of a value and writes their line breaks: a zero-width space keeps them from being read.
    """
    words = _CONTROL.sub(" ", mark_surrogates(text)).split()
    return " ".join(words).replace("=?", f"={ZERO_WIDTH_SPACE}?")
