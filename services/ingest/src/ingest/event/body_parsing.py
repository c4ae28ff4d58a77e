"""Parses a body by its content type: JSON, a form, text or bytes."""

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec

from filas.contract import bounded_json
from filas.contract.jobs import BodyKind
from filas.errors import FilasError
from ingest.forms import multipart_form, urlencoded_form

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

LARGE_BODY = 32 * 1024
"""A longer body, in bytes, may take more than 5 milliseconds to check and to parse, so that is done in a thread."""


class UnreadableBody(FilasError):
    """The body must be JSON and is not, or it exceeds the limits of a form or of JSON."""


@dataclass(slots=True)
class Content:
    """A parsed body. `document` is what flows see. `embedded` is the same in the form that a job encodes fastest: the
    raw bytes if they are JSON, and encoded JSON for any other large body."""

    kind: BodyKind
    document: Any
    embedded: Any


def read(content_type: str, body: bytes, *, demands_json: bool = False) -> Content:
    """Parses the body by its content type. `demands_json`: the sender sends only JSON objects, whatever type it states.

    JSON (`application/json`, `…+json`): the document. A form of either type: an object of its fields; a repeated field
    is a list, a file is an object of `filename`, `contentType` and `content` in base64. Any other body: text if it is
    UTF-8, otherwise base64. Raises UnreadableBody.
    """
    if demands_json or is_json_type(content_type):
        document = _json(body)
        if demands_json and not isinstance(document, dict):
            raise UnreadableBody("body must be a JSON object")
        return Content("json", document, msgspec.Raw(body))
    content = _content(content_type, body)
    if len(body) > LARGE_BODY:
        content.embedded = msgspec.Raw(msgspec.json.encode(content.document))
    return content


def _content(content_type: str, body: bytes) -> Content:
    media_type = _media_type(content_type)
    fields = None
    if media_type == FORM:
        fields = _urlencoded(body)
    elif media_type == "multipart/form-data":
        fields = _multipart(content_type, body)
    return _bytes(body) if fields is None else Content("form", fields, fields)


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


def _json(body: bytes) -> Any:
    try:
        return bounded_json.decode(body)
    except bounded_json.InvalidJson as error:
        raise UnreadableBody(f"body {error}") from None


def _bytes(body: bytes) -> Content:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        encoded = base64.b64encode(body).decode()
        return Content("binary", encoded, encoded)
    return Content("text", text, text)


def _urlencoded(body: bytes) -> dict[str, Any] | None:
    """The fields of an urlencoded form. None if the body is not UTF-8."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return None
    try:
        fields = urlencoded_form.read_fields(body)
    except urlencoded_form.TooManyFields as error:
        raise UnreadableBody(str(error)) from None
    return collected([(name.decode("utf-8", "replace"), value.decode("utf-8", "replace")) for name, value in fields])


def _multipart(content_type: str, body: bytes) -> dict[str, Any] | None:
    """The fields of a multipart form. None if the body is not one."""
    try:
        parts = multipart_form.read_form(content_type, body)
    except multipart_form.InvalidForm as error:
        raise UnreadableBody(str(error)) from None
    return None if parts is None else collected([(part.name, _field(part)) for part in parts])


def _field(part: multipart_form.Part) -> Any:
    if part.filename is None:
        return part.content.decode("utf-8", "replace")
    content = base64.b64encode(part.content).decode()
    return {"filename": part.filename, "contentType": part.content_type, "content": content}


def raw_bytes(kind: BodyKind, document: Any, content_type: str) -> tuple[bytes, str]:
    """A body that parses to `document`, and its content type: the inverse of `read`, for the row of a job.

    A form becomes an urlencoded form with its fields in order; a form with files becomes JSON.
    """
    if kind == "text":
        return str(document).encode(), content_type
    if kind == "binary":
        return base64.b64decode(str(document)), content_type
    if kind == "form" and document and not any(map(_is_file, document.values())):
        return urlencode(document, doseq=True).encode(), FORM
    return msgspec.json.encode(document), content_type if is_json_type(content_type) else JSON


def _is_file(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value))
