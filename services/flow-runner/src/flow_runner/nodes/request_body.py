"""The body of an outbound call: rendered and encoded as its `Content-Type` specifies."""

import codecs
import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from filas.contract import bounded_json
from filas.contract.storable_text import json_bytes, mark_surrogates
from filas.flows.library_errors import shown
from filas.flows.templates import body_text, form_text, json_text, template
from filas.flows.templates.marked_text import NOTHING_UNDONE, InsertedValue
from flow_runner.engine.node_protocol import NodeFailure

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_MANY_DOCUMENTS = re.compile(r"ndjson|jsonl|json-seq|json-lines")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"})
_BOUNDARY = re.compile(r"""boundary\s*=\s*(?:"([^"]+)"|([^\s;]+))""", re.IGNORECASE)
_IN_NAMES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


class RequestBody(NamedTuple):
    """The bytes that are sent, and what the trace shows."""

    content: bytes
    shown: Any


def render_body(
    body: Any, headers: dict[str, str], scope: template.Scope, hide: Callable[[str], str] = str
) -> RequestBody | None:
    """Renders `body`, JSON with templates or a text. None if it is a template whose value is null.

    A text that is JSON is parsed as JSON first, so that a value can neither break it nor add a field. Sets
    `Content-Type` in `headers` unless the author did. `hide` returns a text without secrets, and is applied before an
    error shows the beginning of it. Raises NodeFailure and TemplateError.
    """
    declared = _ContentType(headers, hide)
    value = _rendered_text(body, declared, scope) if isinstance(body, str) else _rendered(body, declared, scope)
    if value is None:
        return None
    if isinstance(value, str) and isinstance(body, str):
        declared.set_default("application/json" if _is_object_or_list(value) else "text/plain; charset=utf-8")
        return RequestBody(_text_bytes(value, declared), value)
    declared.set_default("application/json")
    return RequestBody(_object_bytes(value, declared), value)


class _ContentType:
    """The header `Content-Type` of a call. `essence` is the type without parameters, empty without the header.
    `hide`: see render_body."""

    def __init__(self, headers: dict[str, str], hide: Callable[[str], str]) -> None:
        self._headers = headers
        self.hide = hide
        self._name = next((name for name in headers if name.lower() == "content-type"), None)
        self.text = headers[self._name].strip() if self._name else ""
        self.essence = self.text.partition(";")[0].strip().lower()
        self.is_json = "json" in self.essence
        self.is_form = self.essence in (_FORM, _MULTIPART)
        self.is_xml = self.essence.endswith(("/xml", "+xml", "/html"))

    def set_default(self, text: str) -> None:
        if self._name is None:
            self._headers["Content-Type"] = text

    def boundary(self) -> str | None:
        found = _BOUNDARY.search(self.text)
        return (found[1] or found[2]) if found else None

    def set_boundary(self, boundary: str) -> None:
        self._headers[self._name or "Content-Type"] = f"{self.text}; boundary={boundary}"

    def codec(self) -> str:
        """The codec of the parameter `charset`. Raises NodeFailure if there is none."""
        found = _CHARSET.search(self.text)
        if found is None:
            return "utf-8"
        with contextlib.suppress(LookupError, ValueError):
            codec = codecs.lookup(found[1])
            if codec.name not in _NO_CHARSETS:
                "".encode(codec.name)  # raises LookupError for codecs of bytes, such as `hex`
                return codec.name
        raise NodeFailure("request", f"headers: the charset {shown(found[1])} is unknown, use utf-8")


def _rendered(body: Any, declared: _ContentType, scope: template.Scope) -> Any:
    """A body that is not a text. The filter `url_encode` in a form is undone: a form encodes its values itself."""
    return json_text.render_nested(body, scope, form_text.URL_ENCODED if declared.is_form else NOTHING_UNDONE)


def _rendered_text(source: str, declared: _ContentType, scope: template.Scope) -> Any:
    """The text of a body, or the value of a template that is the whole body or a JSON object in a form."""
    source = json_text.body_source(source)
    parsed = template.parse(source)
    if parsed.is_whole:
        return _whole(parsed, declared, scope)
    pieces = template.render_pieces(source, scope)
    begins = str(pieces[0]).lstrip()[:1]
    if declared.is_json:
        text = json_text.in_json(pieces)
        if ("{{" in source or "{%" in source) and not _MANY_DOCUMENTS.search(declared.essence):
            _check_json(text, declared)
        return text
    if declared.is_form:
        found = _document(json_text.in_json(pieces)) if begins == "{" else None
        write = body_text.in_form if declared.essence == _FORM else body_text.in_text
        return found if isinstance(found, dict) else write(pieces)
    if json_text.begins_json(str(pieces[0])) or (not declared.essence and begins in ("{", "[")):
        text = json_text.in_json(pieces)
        if _is_object_or_list(text):
            return text
    return body_text.in_xml(pieces) if declared.is_xml else body_text.in_text(pieces)


def _whole(parsed: template.Template, declared: _ContentType, scope: template.Scope) -> Any:
    value = parsed.evaluate(scope)
    if not isinstance(value, str) or not declared.is_json or parsed.is_raw or parsed.last_filter == "json":
        return value
    if _MANY_DOCUMENTS.search(declared.essence) or _is_object_or_list(value):
        return value
    return json_text.in_json(["", InsertedValue(value, value, ""), ""])


def _check_json(text: str, declared: _ContentType) -> None:
    """Raises NodeFailure for a text with templates that is declared as JSON and is not."""
    if not json_text.is_json(text):
        what = f"the text is not JSON, as Content-Type declares: {shown(declared.hide(text))}"
        raise NodeFailure("request", f"body: {what}; check its quotation marks, its commas and each `raw`")


def _document(text: str) -> Any:
    try:
        return bounded_json.decode(text.encode(errors="replace"))
    except bounded_json.InvalidJson:
        return None


def _is_object_or_list(text: str) -> bool:
    """True for a JSON object or list. Such a text is sent as JSON, because many builders store bodies as text."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    return _document(text) is not None


def _text_bytes(text: str, declared: _ContentType) -> bytes:
    codec = declared.codec()
    text = mark_surrogates(text)
    if codec == "utf-8":
        return text.encode()
    if declared.is_json:
        # Characters beyond ASCII are only in texts.
        text = "".join(char if char.isascii() else json.dumps(char)[1:-1] for char in text)
    try:
        return text.encode(codec, "xmlcharrefreplace" if declared.is_xml else "strict")
    except UnicodeEncodeError as error:
        char = shown(text[error.start])
        raise NodeFailure("request", f"body: the charset {codec} has no {char}, use utf-8") from None


def _object_bytes(value: Any, declared: _ContentType) -> bytes:
    """A value that is not a text, as `Content-Type` specifies: a form, or JSON."""
    if declared.is_form:
        if not isinstance(value, dict):
            found = shown(declared.hide(template.as_text(value)))
            raise NodeFailure("request", f"body: a form is an object, found {found}")
        pairs = [pair for name, item in value.items() for pair in _pairs(name, item)]
        if declared.essence == _MULTIPART:
            return _multipart(pairs, declared)
        return "&".join(f"{form_text.encoded(name)}={form_text.encoded(item)}" for name, item in pairs).encode()
    if declared.is_xml:
        raise NodeFailure("request", f"body: is an object, but Content-Type is {declared.essence}: write it as a text")
    return json_bytes(value) if declared.codec() == "utf-8" else _text_bytes(json_bytes(value).decode(), declared)


def _pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The fields of a form for a value. A list repeats the name, an object has names such as `address[city]`, and null
    has no field."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _pairs(f"{name}[{key}]", item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _pairs(f"{name}[{index}]" if isinstance(item, (dict, list)) else name, item)
    elif value is not None:
        yield name, template.as_text(value)


def _multipart(pairs: list[tuple[str, str]], declared: _ContentType) -> bytes:
    """`multipart/form-data` (RFC 7578; names are written as in html.spec.whatwg.org)."""
    parts = [
        f'Content-Disposition: form-data; name="{mark_surrogates(name).translate(_IN_NAMES)}"\r\n\r\n'.encode()
        + mark_surrogates(value).encode()
        for name, value in pairs
    ]
    boundary = declared.boundary()
    if boundary is None:
        # The digest of the content, which therefore does not contain it.
        boundary = f"filas-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:32]}"
        declared.set_boundary(boundary)
    line = f"--{boundary}".encode()
    return b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n"
