"""The beginning of a refused request as it is stored, with secrets hidden.

Hidden are: the headers that authenticate a request, cookies, every header, query parameter and field of the body whose
name is that of a secret (`token`, `password`, …), and the secrets of the webhook wherever they occur.
"""

import codecs
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote_plus, unquote, unquote_plus

import msgspec

from filas.contract.storable_text import BYTE_ESCAPES
from filas.crypto.redaction import HIDDEN, Redactor
from ingest.verify.auth_types import SIGNATURE_HEADERS

MAX_BYTES: Final = 4096
"""How many bytes of the headers, of the query parameters and of the body are stored."""

MARGIN: Final = 512
"""How many bytes of a body beyond MAX_BYTES are searched, so that a secret that the bound cuts is found whole."""

_SECRET_NAME: Final = re.compile(
    r"auth(?!or)|token|secret|passw|pwd|senha|signature|hmac|credential|cookie|session|jwt|api[-_.]?key"
    r"|(?:^|[^a-z])(?:sig|sign|key|otp)$",
    re.IGNORECASE,
)
_NOT_SECRET: Final = frozenset({"idempotency-key", "x-idempotency-key", "sec-websocket-key"})

_JSON_NAME: Final = re.compile(r'("(?:[^"\\]|\\.){1,200}")\s*:\s*')
_JSON_VALUE: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?$)|\[[^][{}]*\]?|{[^{}]*}?|[^\s,}\]]+', re.DOTALL)
_FORM_FIELD: Final = re.compile(r"(^|&)([^=&]{1,200})=([^&]+)")
_PART: Final = re.compile(
    r'(\bname="([^"\r\n]{0,200})"[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n)(.*?)(?=\r?\n--|\Z)', re.DOTALL
)
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def is_secret_name(name: str) -> bool:
    """Whether a header, a parameter or a field with this name has a secret, by convention."""
    lower = name.lower()
    return lower in SIGNATURE_HEADERS or (lower not in _NOT_SECRET and _SECRET_NAME.search(lower) is not None)


def redactor_of(secrets: Iterable[str]) -> Redactor:
    """Returns what hides these secrets. The password of `user:password` is hidden alone, too."""
    redactor = Redactor()
    for secret in secrets:
        redactor.hide(secret)
        _, colon, password = secret.partition(":")
        if colon:
            redactor.hide(password)
    return redactor


def shown_headers(headers: Mapping[str, str], hidden: frozenset[str], redactor: Redactor) -> dict[str, str]:
    """Returns the first 4 KiB of `headers` (with lower-case names)."""
    found: dict[str, str] = {}
    left = MAX_BYTES
    for name, value in headers.items():
        is_hidden = name in hidden or is_secret_name(name)
        shown = HIDDEN if is_hidden else redactor.text(value)[:left]
        left -= len(name.encode()) + len(shown.encode())
        if left < 0:
            break
        found[redactor.text(name)] = shown
    return found


def shown_query(
    query: Mapping[str, str | list[str]], hidden: frozenset[str], redactor: Redactor
) -> dict[str, str | list[str]]:
    """Returns the first 4 KiB of the query parameters."""
    found: dict[str, str | list[str]] = {}
    left = MAX_BYTES
    for name, value in query.items():
        shown: str | list[str] = HIDDEN if name in hidden or is_secret_name(name) else redactor.clean(value)
        left -= len(name.encode()) + len("".join(shown).encode())
        if left < 0:
            break
        found[redactor.text(name)] = shown
    return found


def shown_body(body: bytes, content_type: str, encoding: str, redactor: Redactor) -> bytes:
    """Returns the first 4 KiB of `body`. `encoding` is its Content-Encoding: of a compressed body nothing is stored,
    because secrets cannot be found in it."""
    if not body or encoding.strip().lower() not in ("", "identity"):
        return b""
    beginning = body[: MAX_BYTES + MARGIN]
    for mark, charset in _BYTE_ORDER_MARKS:
        if beginning.startswith(mark):
            text = beginning[: len(beginning) // 4 * 4].decode(charset, "replace")
            return _hidden(text, content_type, redactor).encode("utf-8", "replace")[:MAX_BYTES]
    text = beginning.decode("utf-8", BYTE_ESCAPES)
    return _cut(_hidden(text, content_type, redactor).encode("utf-8", BYTE_ESCAPES))


def _hidden(text: str, content_type: str, redactor: Redactor) -> str:
    if content_type.lower().startswith("multipart/"):
        text = _PART.sub(lambda field: field[1] + (HIDDEN if is_secret_name(field[2]) else field[3]), text)
    elif not text.lstrip().startswith(("{", "[", "<")):
        text = _FORM_FIELD.sub(_form_field, text)
    return redactor.text(_hidden_json(text))


def _form_field(field: re.Match[str]) -> str:
    if is_secret_name(unquote(field[2])):
        return f"{field[1]}{field[2]}={HIDDEN}"
    value = unquote_plus(field[3])  # such as the field `payload` of Slack
    hidden = _hidden_json(value) if value.startswith(("{", "[")) else value
    return field[0] if hidden == value else f"{field[1]}{field[2]}={quote_plus(hidden, safe='[]', errors=BYTE_ESCAPES)}"


def _hidden_json(text: str) -> str:
    """Returns JSON, also the beginning of it, with the values of secret fields hidden."""
    shown: list[str] = []
    end = position = 0
    while (name := _JSON_NAME.search(text, position)) is not None:
        position = name.end()
        value = _JSON_VALUE.match(text, position) if is_secret_name(_decoded(name[1])) else None
        if value is not None:
            shown += [text[end:position], f'"{HIDDEN}"']
            end = position = value.end()
    return "".join([*shown, text[end:]])


def _decoded(name: str) -> str:
    try:
        return msgspec.json.decode(name, type=str)
    except (msgspec.MsgspecError, UnicodeError):
        return name


def _cut(body: bytes) -> bytes:
    """Returns the first MAX_BYTES of `body`, without a character that the bound cuts."""
    cut = body[:MAX_BYTES]
    try:
        cut.decode()
    except UnicodeDecodeError as error:
        if len(body) > MAX_BYTES and error.reason == "unexpected end of data":
            return cut[: error.start]
    return cut
