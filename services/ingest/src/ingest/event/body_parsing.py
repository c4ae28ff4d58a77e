"""What a body is: JSON, a form, text or bytes, by its content type."""

import base64
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

import msgspec

from filas.errors import FilasError
from ingest.event import multipart_form

BodyKind = Literal["json", "form", "text", "binary"]

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

MAX_DEPTH = 200
"""How deeply a JSON body may be nested: every later reader has to get through it again, inside a job."""

MAX_FIELDS = 1000
"""How many fields a form may have."""


class UnreadableBody(FilasError):
    """The body must be JSON, or a form of a bearable size, and isn't."""


@dataclass(slots=True)
class Content:
    """A body as flows see it. `embedded` is the same, in whatever form is the quickest to put into a job:
    the raw bytes where they are JSON already."""

    kind: BodyKind
    document: Any
    embedded: Any


def read(content_type: str, body: bytes, *, demands_json: bool = False) -> Content:
    """The body by its content type; `demands_json` if the sender posts nothing but JSON objects.

    JSON (`application/json`, `…+json`): its document. Forms, both kinds: an object of their fields (a field
    that is repeated: a list; a file: `filename`, `contentType` and `content` in base64). Else text where it
    is UTF-8, and base64 where it isn't. Raises UnreadableBody.
    """
    if demands_json or says_json(content_type):
        document = _json(body)
        if demands_json and not isinstance(document, dict):
            raise UnreadableBody("the body must be a JSON object")
        return Content("json", document, msgspec.Raw(body))
    media_type = _media_type(content_type)
    if media_type == FORM:
        fields = _urlencoded(body)
        return _bytes(body) if fields is None else Content("form", fields, fields)
    if media_type == "multipart/form-data":
        fields = _multipart(content_type, body)
        return _bytes(body) if fields is None else Content("form", fields, fields)
    return _bytes(body)


def says_json(content_type: str) -> bool:
    """Whether the type is `application/json` or `…+json`."""
    media_type = _media_type(content_type)
    return media_type == JSON or media_type.endswith("+json")


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def collected(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of `pairs`; what a repeated name has stands in a list, in order."""
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
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableBody(f"the body is not JSON: {error}") from None
    # Nesting can't be deeper than there are brackets, which are counted much faster.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deeper(document, MAX_DEPTH):
        raise UnreadableBody(f"the body is nested more than {MAX_DEPTH} levels deep")
    return document


def _is_deeper(document: Any, levels: int) -> bool:
    level = [document]
    for _ in range(levels):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
        if not below:
            return False
        level = below
    return True


def _bytes(body: bytes) -> Content:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        encoded = base64.b64encode(body).decode()
        return Content("binary", encoded, encoded)
    return Content("text", text, text)


def _urlencoded(body: bytes) -> dict[str, Any] | None:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    try:
        return collected(parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=MAX_FIELDS))
    except ValueError:
        raise UnreadableBody(f"the form has more than {MAX_FIELDS} fields") from None


def _multipart(content_type: str, body: bytes) -> dict[str, Any] | None:
    """The fields of a multipart form; None if the body is none."""
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
    """A body that reads as `document`, and its content type: the way back from a job to a row.

    A form becomes an urlencoded one, in the order of its fields; one with files becomes JSON.
    """
    if kind == "text":
        return str(document).encode(), content_type
    if kind == "binary":
        return base64.b64decode(str(document)), content_type
    if kind == "form" and document and not any(map(_is_file, document.values())):
        return urlencode(document, doseq=True).encode(), FORM
    return msgspec.json.encode(document), content_type if says_json(content_type) else JSON


def _is_file(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value))
