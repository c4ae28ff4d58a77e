"""`hmac` with `signature`: signatures at any place, over any parts of the request."""

import hmac
from typing import Any

import msgspec
import pytest

from ingest.verify import auth_types
from tests.ingest.verify.received_requests import received_request, scheme

NOW = 1_790_000_000
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
IDS: dict[str, Any] = {
    "type": "hmac",
    "secrets": ["key"],
    "signature": {"name": "X-Signature", "pattern": "ts={timestamp},v1={signature}"},
    "template": "id:{query:data.id};request-id:{header:x-request-id};ts:{timestamp};",
    "coversBody": False,
    "toleranceSeconds": 300,
}


def mac(text: str, key: bytes = b"key") -> str:
    """Returns the hexadecimal HMAC-SHA256."""
    return hmac.new(key, text.encode(), "sha256").hexdigest()


RIGHT = mac(f"id:7;request-id:r;ts:{NOW};")
RIGHT_MS = mac(f"id:7;request-id:r;ts:{NOW}123;")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (f"ts={NOW},v1={RIGHT}", None),
        (f"v1={RIGHT}, ts={NOW}", None),
        (f"ts={NOW},v0=1,v1={RIGHT}", None),
        (f"ts={NOW},v1={'0' * 64},v1={RIGHT}", None),
        (f"ts={NOW}123,v1={RIGHT_MS}", None),
        (f"ts={NOW}1234,v1={RIGHT_MS}", "timestamp-stale"),
        (f"ts={NOW - 301},v1={RIGHT}", "timestamp-stale"),
        (f"ts={NOW - 1},v1={RIGHT}", "signature-wrong"),
        (f"v1={RIGHT}", "timestamp-missing"),
        (f"ts={NOW}", "signature-malformed"),
        (f"ts=soon,v1={RIGHT}", "timestamp-malformed"),
        (f"ts=\u0661,v1={RIGHT}", "timestamp-malformed"),
        (f"ts={NOW},v1=zz", "signature-malformed"),
        ("", "signature-malformed"),
        ("\udcff", "signature-malformed"),
        ("," * 8000, "signature-malformed"),
        (None, "signature-missing"),
    ],
)
def test_signatures_and_time_in_one_header(value: str | None, reason: str | None) -> None:
    """In any order, several signatures, other versions, seconds or milliseconds."""
    headers = {"x-request-id": "r"} | ({} if value is None else {"X-Signature": value})
    request = received_request(b"{}", headers, query={"data.id": "7"}, now=NOW)
    assert scheme(**IDS).rejection_reason(request) == reason


def test_a_missing_part_of_the_text_is_refused() -> None:
    """And so is a part that another request has."""
    headers = {"X-Signature": f"ts={NOW},v1={RIGHT}", "x-request-id": "r"}
    check = scheme(**IDS)
    assert check.rejection_reason(received_request(b"{}", headers, now=NOW)) == "signature-malformed"
    other = received_request(b"{}", headers, query={"data.id": "8"}, now=NOW)
    assert check.rejection_reason(other) == "signature-wrong"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{form:timestamp}{form:token}", "12t"),
        ("{body}", "timestamp=12&token=t&sig={}"),
        ("{url}", "https://filas.example/in"),
        ("{json:a.1.b}", None),
    ],
)
def test_a_signature_in_a_form(template: str, text: str | None) -> None:
    """Over fields of the form, or the address. A form has no JSON."""
    auth = {**IDS, "signature": {"in": "form", "name": "sig"}, "template": template, "coversBody": "{body}" in template}
    del auth["toleranceSeconds"]
    body = f"timestamp=12&token=t&sig={mac(text or '')}".encode()
    request = received_request(body, FORM)
    request.url = lambda: "https://filas.example/in"
    expected = "signature-wrong" if template == "{body}" else None if text else "signature-malformed"
    assert scheme(**auth).rejection_reason(request) == expected


def test_a_signature_in_the_query_over_json() -> None:
    """The parameter is never stored."""
    auth = {**IDS, "signature": {"in": "query", "name": "sig"}, "template": "{json:a.1.b}|{json:n}"}
    del auth["toleranceSeconds"]
    check = scheme(**auth)
    body = b'{"a":[0,{"b":"x"}],"n":5}'
    assert check.rejection_reason(received_request(body, query={"sig": mac("x|5")})) is None
    assert check.rejection_reason(received_request(b"{", query={"sig": mac("x|5")})) == "signature-malformed"
    assert check.sensitive_query == {"sig"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"coversBody": True}, "coversBody"),
        ({"template": "{body}{timestamp}"}, "coversBody"),
        ({"header": "X"}, "header"),
        ({"signature": None}, "signature"),
        ({"signature": {"name": "a", "pattern": "v1="}}, "pattern"),
        ({"signature": {"name": "a", "pattern": "{timestamp}{signature}"}}, "pattern"),
        ({"signature": {"name": "a", "in": "cookie"}}, "in"),
        ({"signature": {"name": "a"}}, "timestamp"),
    ],
)
def test_an_error_of_the_definition_is_named(change: dict[str, Any], named: str) -> None:
    """The API shows it to the author of the webhook."""
    with pytest.raises(msgspec.ValidationError, match=named):
        auth_types.configuration({**IDS, **change})
