"""Values of a request by their place: a header, a query parameter, or a field of the body."""

from typing import Any, Literal

from filas.contract import bounded_json
from filas.contract.storable_text import BYTE_ESCAPES, sent_bytes
from filas.decoding.json_body import decode_json
from ingest.forms import multipart_form, urlencoded_form
from ingest.verify.scheme import ReceivedRequest

Place = Literal["header", "query", "form"]

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"


class RequestValues:
    """The values of one request. The body is parsed at most once, and only if a value of it is wanted. Its fields are
    those that a flow sees: without the content coding, and with the same repairs.

    A value is None if the request does not have it, has it more than once, or is malformed: a receiver that read
    another one of several values than the one that is signed could be deceived.
    """

    def __init__(self, received_request: ReceivedRequest) -> None:
        self._request = received_request
        self._fields: dict[str, list[bytes]] | None = None
        self._document: Any = None
        self._is_decoded = False

    def value(self, place: Place, name: str) -> bytes | None:
        """The value of a header or parameter, or of a field of a form or of a JSON object."""
        if place == "form":
            return self._field(name)
        values: Any = self._request.headers if place == "header" else self._request.query
        found = values.getall(name, []) if hasattr(values, "getall") else [values[name]] if name in values else []
        return sent_bytes(found[0].strip() if place == "header" else found[0]) if len(found) == 1 else None

    def member(self, path: str) -> bytes | None:
        """The text or number at `path` (names and indexes separated by dots) in the JSON body."""
        found = self._json()
        for name in path.split("."):
            if isinstance(found, list) and name.isascii() and name.isdigit() and len(name) < 7:
                found = found[int(name)] if int(name) < len(found) else None
            else:
                found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str):
            return sent_bytes(found)
        return str(found).encode() if isinstance(found, int) and not isinstance(found, bool) else None

    def _field(self, name: str) -> bytes | None:
        if self._fields is None:
            self._fields = self._read_form()
        found = self._fields.get(name, [])
        if found or self._media_type() in (_FORM, _MULTIPART):
            return found[0] if len(found) == 1 else None
        return self.member(name) if "." not in name else None

    def _read_form(self) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        media_type = self._media_type()
        try:
            if media_type == _FORM:
                for name, value in urlencoded_form.read_fields(self._request.decoded):
                    found.setdefault(name.decode("utf-8", BYTE_ESCAPES), []).append(value)
            elif media_type == _MULTIPART:
                for part in multipart_form.read_form(self._content_type(), self._request.decoded) or ():
                    found.setdefault(part.name, []).append(part.content)
        except (urlencoded_form.TooManyFields, multipart_form.InvalidForm):
            return {}
        return found

    def _json(self) -> Any:
        if not self._is_decoded:
            self._is_decoded = True
            try:
                self._document, _ = decode_json(self._request.decoded, self._content_type())
            except bounded_json.InvalidJson:
                self._document = None
        return self._document

    def _media_type(self) -> str:
        return self._content_type().partition(";")[0].strip().lower()

    def _content_type(self) -> str:
        return self._request.headers.get("Content-Type", "")
