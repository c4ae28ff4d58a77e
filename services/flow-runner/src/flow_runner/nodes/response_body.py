"""Reads the response to an outbound call: its body by content type and charset, and its status."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal

from filas.contract import bounded_json
from filas.decoding.json_body import decode_json
from filas.decoding.text_decoding import BYTE_ORDER_MARKS, charset_of, decoded_text
from filas.flows.library_errors import shown
from filas.flows.value_limits import TooLarge, plain
from filas.outbound.outbound_response import OutboundResponse
from filas.outbound.retry_after import delay_s
from flow_runner.engine.node_protocol import NodeFailure

Reading = Literal["auto", "lenient", "text"]
"""`auto`: a body that is declared as JSON must be JSON. `lenient`: it is a text if it is not. `text`: every body is a
text."""

MALFORMED_SHOWN = 200
"""How many characters of a malformed body an error shows."""

_JSON_TYPE = re.compile(r"(?:application|text)/(?:json|x-json|[^;,\s]+\+json)(?![\w.+-])", re.IGNORECASE)
_XML_TYPE = re.compile(r"(?:application|text)/(?:xml|[^;\s]+\+xml)", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"""^\s*<\?xml[^>]{1,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})""")


class _Malformed(ValueError):
    """A body that is declared as JSON is not JSON."""


def output_of(
    response: OutboundResponse,
    accepted: Sequence[int],
    now: datetime,
    reading: Reading,
    hide: Callable[[str], str] = str,
) -> dict[str, Any]:
    """`{status, headers, body}`. Raises NodeFailure if the status is neither 2xx nor accepted, or if the body cannot be
    read; `hide` returns a text without secrets, and is applied before that error shows the beginning of it."""
    is_error = not 200 <= response.status < 300 and response.status not in accepted
    headers = {name.lower(): value for name, value in response.headers.items()}
    if is_error and reading == "auto":
        reading = "lenient"
    try:
        body = _body(response.body, headers.get("content-type", ""), reading)
    except _Malformed as error:
        raise _failure(error, response, headers, hide) from None
    try:
        output = {"status": response.status, "headers": headers, "body": plain(body)}
    except TooLarge as error:
        raise NodeFailure("response-too-large", f"the response's body cannot be stored: {error}") from None
    if is_error:
        raise NodeFailure(
            "http-status",
            f"the response's status is {response.status}",
            classes=frozenset({str(response.status), f"{response.status // 100}xx"}),
            detail={"status": response.status},
            output=output,
            retry_after_s=delay_s(headers, now) or 0.0,
        )
    return output


def _body(body: bytes, content_type: str, reading: Reading) -> Any:
    if not body:
        return None
    if reading == "text":
        return _text(body, content_type)
    is_json = _JSON_TYPE.match(content_type.strip()) is not None
    try:
        if is_json or _may_be_document(body):
            return decode_json(body, content_type)[0]
        return bounded_json.decode(body)
    except bounded_json.TooComplex as error:
        if is_json and reading == "auto":
            raise NodeFailure("response-too-large", f"the response's body {error}") from None
    except bounded_json.InvalidJson as error:
        if is_json and reading == "auto":
            raise _Malformed(f"Content-Type is {shown(content_type)}, but its body {error}") from None
    return _text(body, content_type)


def _may_be_document(body: bytes) -> bool:
    """Whether a body of another type may be a JSON object or list."""
    return body.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")[:1] in (b"{", b"[")


def _failure(
    error: _Malformed, response: OutboundResponse, headers: dict[str, str], hide: Callable[[str], str]
) -> NodeFailure:
    text = _text(response.body, headers.get("content-type", ""))
    begins = hide(text)[:MALFORMED_SHOWN]
    return NodeFailure(
        "malformed-answer",
        f'the response\'s {error}. To read it as a text, set "answer":"text". It begins with: {begins}',
        detail={"status": response.status, "begins": begins},
        output={"status": response.status, "headers": headers, "body": text},
    )


def _text(body: bytes, content_type: str) -> str:
    """The text in its charset. Without one, a text that is not UTF-8 is Windows-1252; bytes of another type, which may
    be no text, become U+FFFD."""
    charset = charset_of(content_type)
    if charset is None and (not content_type or _XML_TYPE.match(content_type)) and (found := _XML_ENCODING.match(body)):
        charset = found[1].decode()
    is_text = charset is not None or content_type.lower().startswith("text/")
    if is_text or any(body.startswith(mark) for mark, _ in BYTE_ORDER_MARKS):
        return decoded_text(body, charset)
    return body.decode(errors="replace")
