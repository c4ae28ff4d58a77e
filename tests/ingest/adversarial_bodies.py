"""Bodies that are costly to read: hand-made ones at a given size, for each content type."""

from collections.abc import Callable
from typing import Final, NamedTuple

MIB: Final = 1 << 20

MULTIPART: Final = "multipart/form-data; boundary=cut"
FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"


class Adversarial(NamedTuple):
    """A body and its content type. `name` is that of the test case."""

    name: str
    content_type: str
    body: bytes


def filled(unit: bytes, size: int, begin: bytes = b"", end: bytes = b"") -> bytes:
    """`unit` between `begin` and `end`, as often as fits into `size` bytes."""
    return begin + unit * ((size - len(begin) - len(end)) // len(unit)) + end


def numbered(unit: Callable[[int], bytes], size: int, begin: bytes = b"", end: bytes = b"") -> bytes:
    """Units that differ by their number, between `begin` and `end`, as many as fit into `size` bytes."""
    units, left, number = [], size - len(begin) - len(end), 0
    while (left := left - len(one := unit(number))) >= 0:
        units.append(one)
        number += 1
    return begin + b"".join(units) + end


def _part(disposition: bytes, content: bytes = b"x", headers: bytes = b"") -> bytes:
    return b"--cut\r\nContent-Disposition: form-data; " + disposition + headers + b"\r\n\r\n" + content + b"\r\n"


_HEAD: Final = b'--cut\r\nContent-Disposition: form-data; name="'
_TAIL: Final = b'"\r\n\r\nx\r\n--cut--\r\n'


def multipart(size: int) -> list[Adversarial]:
    """Crafted headers, names, encodings, parts and boundaries."""
    nested = b"Content-Type: multipart/mixed; boundary=cut%d\r\n\r\n--cut%d\r\n"
    bodies = {
        "encoded-words": filled(b"=?utf-8?q?a?= ", size, _HEAD, _TAIL),
        "encoded-words-of-4k": filled(_HEAD + b"=?utf-8?q?a?= " * 280 + b'"\r\n\r\nx\r\n', size, b"", b"--cut--\r\n"),
        "extended-parameters": filled(b"name*0*=utf-8''%41;", size, _HEAD[:-6] + b" ", b"\r\n\r\nx\r\n--cut--\r\n"),
        "continuations": numbered(lambda n: b"name*%d=a;" % n, size, _HEAD[:-6], b"\r\n\r\nx\r\n--cut--\r\n"),
        "parameters": filled(b"a=b;", size, _HEAD[:-6], b"\r\n\r\nx\r\n--cut--\r\n"),
        "semicolons": filled(b"; ", size, _HEAD[:-6], b"\r\n\r\nx\r\n--cut--\r\n"),
        "backslashes": filled(b"\\", size, _HEAD, _TAIL),
        "backslashes-of-4k": filled(_HEAD + b"\\" * 4000 + b"\r\n\r\nx\r\n", size, b"", b"--cut--\r\n"),
        "quotes": filled(b'\\"', size, _HEAD, _TAIL),
        "comments": filled(b"(", size, _HEAD[:-6] + b" ", b"\r\n\r\nx\r\n--cut--\r\n"),
        "percent-signs": filled(b"%", size, _HEAD[:-6] + b" filename*=utf-8''", b"\r\n\r\nx\r\n--cut--\r\n"),
        "folded-lines": filled(b"\r\n a", size, _HEAD, _TAIL),
        "folded-lines-of-4k": filled(_HEAD + b"\r\n a" * 990 + b'"\r\n\r\nx\r\n', size, b"", b"--cut--\r\n"),
        "blanks-of-4k": filled(_HEAD[:-6] + b" " * 4000 + b"\r\n\r\nx\r\n", size, b"", b"--cut--\r\n"),
        "headers": filled(b"a:b\r\n", size, b"--cut\r\n", b"\r\nx\r\n--cut--\r\n"),
        "colons": filled(b":\r\n", size, b"--cut\r\n", b"\r\nx\r\n--cut--\r\n"),
        "empty-parts": filled(b"--cut\r\n\r\n\r\n", size, b"", b"--cut--\r\n"),
        "adjacent-delimiters": filled(b"\r\n--cut", size, b"--cut\r\n"),
        "delimiters-without-end": filled(b"\r\n--cut-", size, b"--cut\r\n\r\n"),
        "almost-delimiters": filled(b"\r\n--cu", size, b"--cut\r\n\r\n", b"\r\n--cut--\r\n"),
        "parts-of-one-name": filled(_part(b"name=a"), size, b"", b"--cut--\r\n"),
        "parts-of-many-names": numbered(lambda n: _part(b"name=a%d" % n), size, b"", b"--cut--\r\n"),
        "many-files": filled(_part(b"name=a; filename=b", b"\xff" * (size // 900)), size, b"", b"--cut--\r\n"),
        "many-encoded-names": numbered(
            lambda n: _part(b"name=a; filename*=utf-8''%d" % n + b"%e2" * 1200, b""), 120_000, b"", b"--cut--\r\n"
        ),
        "nested-parts": numbered(lambda n: nested % (n, n), size, b"--cut\r\n", b"\r\n--cut--\r\n"),
        "base64": filled(b"=AAA", size, _HEAD + b'a"\r\nContent-Transfer-Encoding: base64\r\n\r\n', b"\r\n--cut--\r\n"),
        "quoted-printable": filled(
            b"=3d=\r\n", size, _HEAD + b'a"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n', b"\r\n--cut--\r\n"
        ),
        "null-bytes": filled(b"\0", size, b"--cut\r\n", b"\r\n--cut--\r\n"),
        "invalid-utf-8": filled(b"\xff", size, _HEAD + b'a"\r\n\r\n', b"\r\n--cut--\r\n"),
        "line-ends": filled(b"\r\n", size, b"--cut\r\n"),
        "no-delimiter": filled(b"\r\n--", size),
    }
    found = [Adversarial(f"multipart-{name}", MULTIPART, body) for name, body in bodies.items()]
    repeated = filled(b"-", size, b"", b"\r\n")
    return [
        *found,
        Adversarial("multipart-boundary-of-hyphens", "multipart/form-data; boundary=" + "-" * 70, repeated),
        Adversarial("multipart-boundary-in-comment", "multipart/form-data; " + "(" * 4000, bodies["headers"]),
    ]


def urlencoded(size: int) -> list[Adversarial]:
    """Many fields, separators and percent signs."""
    bodies = {
        "ampersands": filled(b"&", size),
        "semicolons": filled(b";", size),
        "equals": filled(b"=", size),
        "fields-of-one-name": filled(b"a=&", size),
        "fields-of-many-names": numbered(lambda n: b"%x=&" % n, size),
        "many-long-fields": filled(b"a=%ff%" + b"%41" * (size // 3000) + b"&", size),
        "many-broken-fields": numbered(lambda n: b"%d=" % n + b"%%4" * (size // 3000) + b"&", size),
        "percent-signs": filled(b"%", size, b"a="),
        "percent-encoded": filled(b"%41", size, b"a="),
        "invalid-utf-8-encoded": filled(b"%ff", size, b"a="),
        "incomplete-sequences": filled(b"%e2%28", size, b"a="),
        "encoded-and-plain": filled(b"%41\xc3\xa9", size, b"a="),
        "plus-signs": filled(b"+", size, b"a="),
        "invalid-utf-8": filled(b"a=\xff&", size),
        "one-name": filled(b"%5b", size, b"", b"=1"),
    }
    return [Adversarial(f"urlencoded-{name}", FORM, body) for name, body in bodies.items()]


def json(size: int) -> list[Adversarial]:
    """Nesting, numbers, escapes, duplicate keys, and values that are far larger in memory."""
    half = size // 2
    bodies = {
        "open-lists": filled(b"[", size),
        "deep-lists": b"[" * half + b"]" * half,
        "deep-objects": filled(b'{"a":', size),
        "allowed-depth": filled(b"[" * 199 + b"]" * 199 + b",", size, b"[", b"0]"),
        "empty-lists": filled(b"[],", size, b"[", b"0]"),
        "empty-objects": filled(b"{},", size, b"[", b"0]"),
        "lists-of-one": filled(b"[0],", size, b"[", b"0]"),
        "lists-of-two": filled(b"[[]],", size, b"[", b"0]"),
        "objects-of-one": filled(b'{"":0},', size, b"[", b"0]"),
        "objects-of-objects": filled(b'{"":{}},', size, b"[", b"0]"),
        "chains-of-objects": filled(b'{"":' * 150 + b"0" + b"}" * 150 + b",", size, b"[", b"0]"),
        "many-keys": numbered(lambda n: b'"%x":0,' % n, size, b"{", b'"":0}'),
        "many-short-texts": filled(b'"aa",', size, b"[", b"0]"),
        "many-wide-texts": filled('"\u0100",'.encode(), size, b"[", b"0]"),
        "duplicate-keys": filled(b'"a":0,', size, b"{", b'"a":0}'),
        "duplicate-objects": filled(b'"a":{"b":[]},', size, b"{", b'"a":0}'),
        "huge-integer": filled(b"9", size),
        "huge-integers": filled(b"9" * 4000 + b",", size, b"[", b"0]"),
        "huge-fraction": filled(b"1", size, b"0."),
        "huge-fractions": filled(b"0." + b"1" * 700 + b"e-300,", size, b"[", b"0]"),
        "exponents": filled(b"1e999999999,", size, b"[", b"0]"),
        "small-exponents": filled(b"1e-999999,", size, b"[", b"0]"),
        "floats": filled(b"1.7976931348623157e308,", size, b"[", b"0]"),
        "subnormal-floats": filled(b"2.2250738585072011e-308,", size, b"[", b"0]"),
        "digits": filled(b"1,", size, b"[", b"0]"),
        "large-digits": filled(b"999,", size, b"[", b"0]"),
        "minus-signs": filled(b"-", size),
        "escapes": filled(b"\\n", size, b'"', b'"'),
        "unicode-escapes": filled(b"\\u0000", size, b'"', b'"'),
        "surrogate-pairs": filled(b"\\ud83d\\ude00", size, b'"', b'"'),
        "lone-surrogates": filled(b"\\ud800", size, b'["', b'"]'),
        "one-wide-character": filled(b"a", size, b'"', '\U0001f600"'.encode()),
        "backslashes": filled(b"\\", size, b'"'),
        "quotes": filled(b'"', size),
        "blanks": filled(b" ", size, b"", b"1"),
        "commas": filled(b",", size, b"["),
        "colons": filled(b'"":', size, b"{"),
        "nulls": filled(b"null,", size, b"[", b"0]"),
        "null-bytes": filled(b"\0", size),
        "brackets-in-text": filled(b"[", size, b'"', b'"'),
    }
    # As many containers and large exponents as are accepted, and the rest of the size in cheap values.
    for name, unit, number in (
        ("lists", b"[],", 1),
        ("lists-of-one", b"[0],", 1),
        ("nested-lists", b"[[]],", 2),
        ("objects", b'{"":0},', 1),
        ("nested-objects", b'{"":{}},', 2),
        ("deep-lists", b"[" * 190 + b"]" * 190 + b",", 190),
        ("deep-objects", b'{"":' * 190 + b"0" + b"}" * 190 + b",", 190),
    ):
        begin = b"[" + unit * (size // 16 // number - 1) + b"1.7976931348623157e308," * 500
        bodies[f"accepted-{name}"] = filled(b'"aa",', size, begin, b"0]")
    return [Adversarial(f"json-{name}", JSON, body) for name, body in bodies.items()]


def other(size: int) -> list[Adversarial]:
    """Text, bytes, and markup, which is read as text."""
    entity = b'<!DOCTYPE a [<!ENTITY x "' + b"a" * 1000 + b'">]><a>'
    bodies = {
        "ascii": ("text/plain", filled(b"a", size)),
        "null-bytes": ("text/plain", filled(b"\0", size)),
        "one-wide-character": ("text/plain", filled(b"a", size, b"", "\U0001f600".encode())),
        "two-byte-characters": ("text/plain", filled("\u0100".encode(), size)),
        "late-invalid-byte": ("text/plain", filled(b"a", size, b"", b"\xff")),
        "bytes": ("application/octet-stream", filled(b"\xff", size)),
        "control-characters": ("text/plain", filled(b"\x01", size)),
        "quotes": ("text/html", filled(b'"', size)),
        "nested-elements": ("application/xml", filled(b"<a>", size)),
        "entities": ("application/xml", filled(b"&x;", size, entity, b"</a>")),
        "attributes": ("text/xml", filled(b' a="b"', size, b"<a", b"/>")),
        "soap": ("application/soap+xml", filled(b"<![CDATA[", size)),
        "no-type": ("", filled(b"a", size)),
        "charset": ("text/plain; charset=" + "utf-7;" * 1000, filled(b"+ADw-", size)),
    }
    return [Adversarial(f"other-{name}", content_type, body) for name, (content_type, body) in bodies.items()]


def every_body(size: int = MIB) -> list[Adversarial]:
    """All of them."""
    return [*multipart(size), *urlencoded(size), *json(size), *other(size)]


def whatsapp(value: bytes, messages: int, receipts: bytes = b"") -> bytes:
    """A body of `messages` messages, with `value` beside them."""
    sent = b",".join(b'{"from":"%d","id":"w%d"}' % (number % 9, number) for number in range(messages))
    return (
        b'{"entry":[{"changes":[{"value":{' + value + b'"messages":[' + sent + b'],"statuses":[' + receipts + b"]}}]}]}"
    )


KEYS: Final = b"".join(b'"%x":0,' % number for number in range(60_000))
PROFILES: Final = b'"contacts":[' + b'{"wa_id":"123456"},' * 30_000 + b"0],"
NUMBERS: Final = filled(b"1,", MIB - 1000, b'{"a":[', b"0]}")

COSTLY_EXPRESSIONS: Final = [
    "a[*].a[*].b[]",
    "sort_by(a,&to_string(@))",
    "join('',a[].to_string(@))",
    "map(&a[0].b,a)",
    "a[?contains(to_string(@),'x')]",
    "[sum(a)" + ",sum(a)" * 400 + "]",
    "[a==a" + ",a==a" * 400 + "]",
    "a[*].[" + "@," * 1000 + "@]",
    "@|" * 500 + "@",
]
"""JMESPath for bodies whose field `a` is a long list."""

COSTLY_TEMPLATES: Final = [
    "{{ body.a | json }}",
    "{{ body | json | size }}",
    "{% for x in body.a %}{% for y in body.a %}a{% endfor %}{% endfor %}",
    "{{ body.a | sort | uniq | join: '' }}",
    "{% if body.a contains 'x' %}a{% endif %}",
]
"""Liquid for such bodies."""
