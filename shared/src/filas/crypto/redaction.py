"""Replaces secrets in texts and JSON, also where they are encoded, so that no trace, log or error shows one.

| form of a secret in a text         | found by                                                             |
|------------------------------------|----------------------------------------------------------------------|
| raw, in capitals, in small letters | the text itself                                                      |
| JSON, HTML, percent (also mixed,   | the text with its escapes decoded, at most `_ROUNDS` times;          |
| partial or several times)          | `+` and a space are the same                                         |
| Base64 and URL-safe Base64         | the characters that the secret determines at each of the three       |
|                                    | positions that it can have in a group of three bytes                 |
| hexadecimal                        | the digits of its UTF-8 bytes                                        |
| wrapped or indented lines          | the text without line breaks; also each line of a secret with lines  |
| cut off                            | its first half, but at least `_MIN_CUT` and at most `_MAX_CUT`       |
|                                    | characters                                                           |

A secret with fewer than `_MIN_PART` characters is replaced only where it is the whole value: otherwise parts of
ordinary texts would be replaced. A value that a template has derived from a secret (a hash, a slice) is not recognised.

The cost is linear in the text, and there is none if nothing is hidden.
"""

import base64
import html
import re
from array import array
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

HIDDEN: Final = "[redacted]"

_MIN_PART: Final = 4
_MIN_LINE: Final = 8
_MIN_CUT: Final = 12
_MAX_CUT: Final = 32
_ROUNDS: Final = 4

_WEB_ESCAPE: Final = re.compile(
    r"(?:%[0-9A-Fa-f]{2})+|&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
)
_JSON_ESCAPE: Final = re.compile(
    r"\\(?:u[0-9A-Fa-f]{4}(?:\\u[dD][c-fC-F][0-9A-Fa-f]{2})?|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|.)", re.DOTALL
)
_LINE_BREAK: Final = re.compile(r"[ \t]*[\r\n][ \t\r\n]*")
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "0": "\0"}

_Span = tuple[int, int]


class Redactor:
    """Replaces the secrets that `hide` was called with."""

    __slots__ = ("_forms", "_short", "_whole")

    def __init__(self) -> None:
        self._whole: set[str] = set()
        self._short: set[str] = set()
        # The part of a form that is searched for, and the forms that begin with it.
        self._forms: dict[str, list[str]] = {}

    @property
    def size(self) -> int:
        """The number of secrets that are hidden. It never decreases."""
        return len(self._whole)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is hidden."""
        return not self._whole

    def hide(self, secret: object) -> None:
        """From now on `secret` is replaced. Of an object or a list, every value is."""
        if isinstance(secret, dict):
            secret = list(secret.values())
        if isinstance(secret, list):
            for item in secret:
                self.hide(item)
            return
        if secret is None or isinstance(secret, bool):
            return
        if isinstance(secret, float) and secret.is_integer():
            self.hide(int(secret))
        text = str(secret)
        if not text or text in self._whole:
            return
        self._whole.add(text)
        if len(text) < _MIN_PART:
            self._short.add(text)
        for part, form in _forms(text):
            known = self._forms.setdefault(part, [])
            if form not in known:
                known.append(form)

    def text(self, text: str) -> str:
        """The text with every secret replaced."""
        if text in self._whole:
            return HIDDEN
        if not self._forms:
            return text
        shown, end = [], 0
        for begin, stop in _merged(self._spans(text)):
            shown += [text[end:begin], HIDDEN]
            end = stop
        return "".join([*shown, text[end:]]) if shown else text

    def clean(self, value: Any) -> Any:
        """JSON with every secret replaced, also in its keys and numbers."""
        if not self._whole or value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(value)
        # Most values have no secret. One search in all their texts is much faster than one search in each.
        texts: list[str] = []
        _collect(value, texts)
        if self._short.isdisjoint(texts) and not any(self._found_in(one) for one in _readings("\0".join(texts))):
            return value
        return self._replaced(value)

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self._replaced(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._replaced(item) for item in value]
        if value is None or isinstance(value, bool):
            return value
        return HIDDEN if str(value) in self._whole else value

    def _found_in(self, reading: str) -> bool:
        return any(part in reading for part in self._forms)

    def _spans(self, text: str) -> list[_Span]:
        """Where secrets are in `text`."""
        found: list[_Span] = []
        for number, reading in enumerate(_readings(text)):
            matches = [match for part in self._forms for match in self._matches(reading, part)]
            if matches:
                places = _places(text, number)
                found += [(places[begin], places[end]) for begin, end in matches]
        return found

    def _matches(self, reading: str, part: str) -> Iterator[_Span]:
        begin = reading.find(part)
        while begin >= 0:
            end = begin + max(_common(reading, begin, form, len(part)) for form in self._forms[part])
            yield begin, end
            begin = reading.find(part, end)


def _collect(value: Any, texts: list[str]) -> None:
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, dict):
        texts += value
        for item in value.values():
            _collect(item, texts)
    elif isinstance(value, list):
        for item in value:
            _collect(item, texts)
    elif value is not None and not isinstance(value, bool):
        texts.append(str(value))


def _merged(spans: list[_Span]) -> list[_Span]:
    merged: list[_Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def _common(reading: str, begin: int, form: str, length: int) -> int:
    """How many characters of `form` are in `reading` from `begin` on; the first `length` are."""
    if reading.startswith(form, begin):
        return len(form)
    most = min(len(form), len(reading) - begin)
    while length < most and reading[begin + length] == form[length]:
        length += 1
    return length


# ---- readings: the text as it is, and with its escapes decoded ---------------------------------------


def _readings(text: str) -> Iterator[str]:
    """The text, and what it is after each pass of decoding; of each, also without its line breaks if it has any.

    The passes alternate: HTML and percent first, because a JSON text inside of them is whole only after them.
    """
    unchanged = 0
    for number in range(2 * _ROUNDS + 1):
        yield text.replace("+", " ") if unchanged == 0 else ""
        # Also without a line break, so that the number of a reading determines how it was made.
        yield _LINE_BREAK.sub("", text).replace("+", " ") if unchanged == 0 and _has_lines(text) else ""
        pattern, marks = _PASSES[number % 2]
        decoded = pattern.sub(_unescaped, text) if any(mark in text for mark in marks) else text
        unchanged = unchanged + 1 if decoded == text else 0
        if unchanged == len(_PASSES):
            return
        text = decoded


_PASSES: Final = ((_WEB_ESCAPE, "%&"), (_JSON_ESCAPE, "\\"))


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


def _places(text: str, number: int) -> "array[int]":
    """The place in `text` of each character of its reading, and the end of the text."""
    places = array("q", range(len(text) + 1))
    for done in range(number // 2):
        text, places = _traced(_PASSES[done % 2][0], text, places)
    return _traced(_LINE_BREAK, text, places)[1] if number % 2 else places


def _traced(pattern: re.Pattern[str], text: str, places: "array[int]") -> tuple[str, "array[int]"]:
    """The text after one replacement, with the places of its characters."""
    parts: list[str] = []
    kept: array[int] = array("q")
    end = 0
    for match in pattern.finditer(text):
        new = "" if pattern is _LINE_BREAK else _unescaped(match)
        parts += [text[end : match.start()], new]
        kept += places[end : match.start()]
        if match[0][0] == "%":
            at = match.start()
            for character in new:
                kept.append(places[at])
                at += 3 * len(character.encode("utf-8", "surrogateescape"))
        else:
            kept.extend([places[match.start()]] * len(new))
        end = match.end()
    parts.append(text[end:])
    kept += places[end:]
    return "".join(parts), kept


def _unescaped(match: re.Match[str]) -> str:
    escape = match[0]
    if escape[0] == "%":
        return bytes.fromhex(escape.replace("%", "")).decode("utf-8", "surrogateescape")
    if escape[0] == "&":
        return html.unescape(escape)
    kind, digits = escape[1], escape[2:]
    if kind == "u" and digits:
        units = [int(unit, 16) for unit in digits.split("\\u")]
        is_pair = len(units) == 2 and 0xD800 <= units[0] < 0xDC00
        if is_pair:
            return chr(0x10000 + ((units[0] - 0xD800) << 10) + (units[1] - 0xDC00))
        return "".join(map(chr, units))
    if kind in "Ux" and digits:
        code = int(digits, 16)
        return chr(code) if code < 0x110000 else escape
    return _CONTROLS.get(kind, kind)


# ---- the forms of a secret ---------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _forms(secret: str) -> tuple[tuple[str, str], ...]:
    """Every form of the secret as it is searched for, after the part of it that is searched for first."""
    if len(secret) < _MIN_PART:
        return ()
    forms: dict[str, None] = {}
    for plain in _plain_forms(secret):
        # A secret may contain what looks like an escape, which the readings of a text decode.
        for reading in _readings(plain):
            if len(reading) >= _MIN_PART:
                forms[reading] = None
    for encoded in _encoded_forms(secret.encode("utf-8", "surrogatepass")):
        forms[encoded.replace("+", " ")] = None
    return tuple((_part(form), form) for form in forms)


def _part(form: str) -> str:
    return form[: min(max(_MIN_CUT, (len(form) + 1) // 2), _MAX_CUT)]


def _plain_forms(secret: str) -> Iterator[str]:
    stripped = secret.strip()
    for text in {secret, stripped if len(stripped) >= _MIN_PART else secret}:
        yield from (text, text.upper(), text.lower())
    if stripped.startswith("whsec_"):
        yield stripped.removeprefix("whsec_")
    if "\n" in stripped or "\r" in stripped:
        for line in map(str.strip, stripped.splitlines()):
            if len(line) >= _MIN_LINE and not line.startswith("-----"):
                yield line


def _encoded_forms(secret: bytes) -> Iterator[str]:
    yield secret.hex()
    yield secret.hex().upper()
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + secret).decode()
        # The characters before and after also depend on the bytes around the secret.
        core = encoded[(offset * 8 + 5) // 6 : (offset + len(secret)) * 8 // 6]
        if len(core) >= _MIN_PART:
            yield core
            yield core.translate(str.maketrans("+/", "-_"))
