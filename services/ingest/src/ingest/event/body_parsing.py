"""Parses a body by its content type: JSON, a form, text or bytes."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec

from filas.contract import bounded_json
from filas.contract.jobs import BodyKind
from filas.decoding.json_body import decode_json
from filas.decoding.text_decoding import MARK, charset_of, decoded_text
from filas.errors import FilasError
from filas.models.configuration import BodyMode
from ingest.forms import multipart_form, urlencoded_form

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

_UNSTATED = ("", "application/octet-stream")
"""Types that state nothing about the content."""

LARGE_BODY = 32 * 1024
"""A longer body, in bytes, may take more than 5 milliseconds to check and to parse, so that is done in a thread."""


class UnreadableBody(FilasError):
    """The body must be JSON and is not, or it exceeds the limits of a form or of JSON."""


@dataclass(slots=True)
class Content:
    """A parsed body. `document` is what flows see. `embedded` is what the job carries, in the form that is encoded
    fastest: JSON bytes for a document and for any other large body. Of a form, it is all fields, also those beside a
    document in the field `payload`."""

    kind: BodyKind
    document: Any
    embedded: Any


def read(content_type: str, body: bytes, *, demands_json: bool = False, mode: BodyMode = "auto") -> Content:
    """Parses the body by its content type. `demands_json`: the sender sends only JSON objects, whatever type it states.
    `mode` is the webhook's `body`.

    JSON (`application/json`, `…+json`): the document. A form of either type: an object of its fields; a repeated field
    is a list, a file is an object of `filename`, `contentType` and `content` in base64; if the field `payload` is a
    JSON object, that is the document. A body without a type, of a type `text/…` or of `application/octet-stream` is a
    document if it is a JSON object or list. Any other body: text in its charset, otherwise base64. Raises
    UnreadableBody.
    """
    if demands_json or mode == "json" or (mode == "auto" and is_json_type(content_type)):
        document, encoded = _json(body, content_type)
        if demands_json and not isinstance(document, dict):
            raise UnreadableBody("body must be a JSON object")
        return Content("json", document, msgspec.Raw(encoded))
    content = _content(content_type, body, mode)
    if len(body) > LARGE_BODY and not isinstance(content.embedded, msgspec.Raw):
        content.embedded = msgspec.Raw(msgspec.json.encode(content.embedded))
    return content


def _content(content_type: str, body: bytes, mode: BodyMode) -> Content:
    media_type, charset = _media_type(content_type), charset_of(content_type)
    fields = None
    if (mode == "form" and media_type != MULTIPART) or (mode == "auto" and media_type == FORM):
        fields = _urlencoded(body, charset)
    elif mode in ("auto", "form") and media_type == MULTIPART:
        fields = _multipart(content_type, body)
    if fields is not None:
        return Content("form", document_of_form(fields), fields)
    if mode == "auto" and (media_type in _UNSTATED or media_type.startswith("text/")):
        document = _found_json(body, content_type)
        if document is not None:
            return document
    is_text = mode == "text" or media_type.startswith("text/") or charset is not None
    return _bytes(body, charset, is_text=is_text)


def document_of_form(fields: dict[str, Any]) -> Any:
    """What flows see of a form: the object in its field `payload` (GitHub, Slack), otherwise its fields."""
    written = fields.get("payload")
    if not isinstance(written, str) or not written.lstrip().startswith("{"):
        return fields
    try:
        document, _ = decode_json(written.encode("utf-8", "replace"))
    except bounded_json.InvalidJson:
        return fields
    return dict(document) if isinstance(document, dict) else fields


def other_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a form besides the `payload` that is its document. All, if there is no such payload."""
    has_document = document_of_form(fields) is not fields
    return {name: value for name, value in fields.items() if not (has_document and name == "payload")}


def is_json_type(content_type: str) -> bool:
    """Whether the type is `application/json` or `…+json`."""
    media_type = _media_type(content_type)
    return media_type == JSON or media_type.endswith("+json")


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def collected(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of `pairs`. The values of a repeated name are a list, in order."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def _json(body: bytes, content_type: str) -> tuple[Any, bytes]:
    try:
        return decode_json(body, content_type)
    except bounded_json.InvalidJson as error:
        raise UnreadableBody(f"body {error}") from None


def _found_json(body: bytes, content_type: str) -> Content | None:
    """The document of a body that is a JSON object or list although its type does not state so."""
    if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
        return None
    try:
        document, encoded = decode_json(body, content_type)
    except bounded_json.InvalidJson:
        return None
    return Content("json", document, msgspec.Raw(encoded)) if isinstance(document, dict | list) else None


def _bytes(body: bytes, charset: str | None, *, is_text: bool) -> Content:
    if is_text:
        text = decoded_text(body, charset)
        return Content("text", text, text)
    try:
        text = body.decode().lstrip(MARK)
    except UnicodeDecodeError:
        encoded = base64.b64encode(body).decode()
        return Content("binary", encoded, encoded)
    return Content("text", text, text)


def _urlencoded(body: bytes, charset: str | None) -> dict[str, Any]:
    """The fields of an urlencoded form."""
    try:
        fields = urlencoded_form.read_fields(body)
    except urlencoded_form.TooManyFields as error:
        raise UnreadableBody(str(error)) from None
    return collected([(decoded_text(name, charset), decoded_text(value, charset)) for name, value in fields])


def _multipart(content_type: str, body: bytes) -> dict[str, Any] | None:
    """The fields of a multipart form. None if the body is not one."""
    try:
        parts = multipart_form.read_form(content_type, body)
    except multipart_form.InvalidForm as error:
        raise UnreadableBody(str(error)) from None
    if parts is None:
        return None
    charsets = _stated_charsets(parts)
    return collected([(part.name, _field(part, charsets.get(part.name))) for part in parts])


def _stated_charsets(parts: Sequence[multipart_form.Part]) -> dict[str, str]:
    """The charsets of the fields by the field `charsets`, a JSON object: SendGrid's Inbound Parse sends one."""
    for part in parts:
        if part.name == "charsets" and part.filename is None:
            try:
                document, _ = decode_json(part.content)
            except bounded_json.InvalidJson:
                return {}
            stated: dict[str, Any] = document if isinstance(document, dict) else {}
            return {name: value for name, value in stated.items() if isinstance(value, str)}
    return {}


def _field(part: multipart_form.Part, charset: str | None) -> Any:
    if part.filename is None:
        return decoded_text(part.content, charset or part.charset)
    content = base64.b64encode(part.content).decode()
    return {"filename": part.filename, "contentType": part.content_type, "content": content}


def raw_bytes(kind: BodyKind, document: Any, content_type: str) -> tuple[bytes, str]:
    """A body that parses to `document`, and its content type: the inverse of `read`, for the row of a job.

    A form becomes an urlencoded form with its fields in order; a form with files becomes JSON.
    """
    if kind == "text":
        stated = charset_of(content_type)
        as_sent = content_type if stated is None else f"{_media_type(content_type)}; charset=utf-8"
        return str(document).encode("utf-8", "replace"), as_sent
    if kind == "binary":
        return base64.b64decode(str(document)), content_type
    if kind == "form" and document and not any(map(_is_file, document.values())):
        return urlencode(document, doseq=True).encode(), FORM
    return msgspec.json.encode(document), content_type if is_json_type(content_type) else JSON


def _is_file(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value))
