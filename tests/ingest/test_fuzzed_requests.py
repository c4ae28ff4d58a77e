"""Random requests: the public listener answers each of them with a status that is not 500."""

import asyncio
import hashlib
import hmac
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filas.models.configuration import ConversationRule, Dedupe
from tests.ingest.serving import BOX, raw, serving, webhook
from tests.ingest.verify.vendors import URL, VENDORS, Vendor
from tests.long_form import examples

Fuzzed = tuple[asyncio.AbstractEventLoop, int]

ANY_REQUEST = settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HEADER_NAMES = ["X-Sig", "X-Time", "X-Id", "Authorization", "X-Forwarded-For", "X-Other", "X-GitHub-Event", "Expect"]
HEADER_NAMES += [name for vendor in VENDORS.values() for name in (vendor.signed, vendor.timed) if name]
_HEADER_TEXT = st.binary(max_size=40).map(lambda value: value.translate(None, b"\r\n\0"))
_BODY = st.binary(max_size=60) | st.sampled_from(
    [
        b"{}",
        b"[]",
        b'{"from":"\\u0000"}',
        b'{"from":"\\ud800"}',
        b'{"id":7,"update_id":"\\u0000","event_id":"\\ud800","message":{"chat":{"id":1}}}',
        b'{"type":"url_verification","challenge":"\\ud800\\u0000"}',
        b"From=%00&MessageSid=%ff&Body=%ed%a0%80",
        b"payload=%7B%22trigger_id%22%3A%22%5Cu0000%22%7D",
    ]
)
_TYPES = st.sampled_from(
    [
        b"application/json",
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
    ]
)


@pytest.fixture
def fuzzed(redis_url: str, postgres_dsn: str) -> Any:
    """A listener with webhooks of every kind, on one event loop for all of Hypothesis's examples."""
    webhooks = [
        webhook(conversation=ConversationRule(channel="shop", contact="{{ body.from }}", text="{{ body.text }}")),
        webhook("keyed", dedupe=Dedupe(header="X-Id"), methods=["POST", "GET", "PUT"]),
        webhook("signed", dedupe=Dedupe(body=True), auth={"type": "hmac", "secrets": ["k"], "header": "X-Sig"}),
        *(vendor_webhook(name, vendor) for name, vendor in VENDORS.items()),
    ]
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        context = serving(redis_url, postgres_dsn, *webhooks)
        app = loop.run_until_complete(context.__aenter__())
        yield loop, app.port
        loop.run_until_complete(context.__aexit__(None, None, None))


def vendor_webhook(name: str, vendor: Vendor) -> Any:
    """Returns the webhook of a vendor with its encrypted secret, at the address that is signed."""
    auth = vendor.auth(BOX.seal(vendor.secret))
    return webhook(name, auth=auth | ({"url": URL} if vendor.type == "twilio" else {}))


def status_of(fuzzed: Fuzzed, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> int:
    """Returns the status of the answer to the request."""
    loop, port = fuzzed
    lines = [f"{method} /webhooks/{path} HTTP/1.1".encode(), b"Host: x", b"Connection: close"]
    lines += [name + b": " + value for name, value in headers]
    lines.append(b"Content-Length: " + str(len(body)).encode())
    answer = loop.run_until_complete(raw(port, b"\r\n".join(lines) + b"\r\n\r\n" + body))
    return int(answer.split(b" ", 2)[1])


@ANY_REQUEST
@given(data=st.data())
def test_no_request_is_answered_with_a_500(fuzzed: Fuzzed, data: st.DataObject) -> None:
    """For any headers, query and body, also bytes that are not text."""
    path = data.draw(st.sampled_from(["orders", "keyed", "signed", "nowhere", "%ff%00", "a/b", *VENDORS]))
    query = data.draw(st.sampled_from(["", "?a=%00", "?a=%ff&a=%ed%a0%80", "?hub.mode=subscribe&hub.challenge=%ff"]))
    method = data.draw(st.sampled_from(["POST", "POST", "GET", "PUT", "HEAD", "OPTIONS"]))
    body = data.draw(_BODY)
    headers = [(b"Content-Type", data.draw(_TYPES | _HEADER_TEXT))]
    for name in data.draw(st.lists(st.sampled_from(HEADER_NAMES), max_size=4)):
        value = data.draw(_HEADER_TEXT)
        if name == "X-Sig" and data.draw(st.booleans()):
            value = hmac.new(b"k", body, hashlib.sha256).hexdigest().encode()
        headers.append((name.encode(), value))
    status = status_of(fuzzed, method, path + query, headers, body)
    assert status in {200, 400, 401, 403, 404, 405, 415}


@pytest.mark.parametrize("name", sorted(VENDORS))
@ANY_REQUEST
@given(body=_BODY, content_type=_TYPES)
def test_no_signed_request_is_answered_with_a_500(fuzzed: Fuzzed, name: str, body: bytes, content_type: bytes) -> None:
    """A valid signature over any body: the request is accepted, or rejected because of its body."""
    vendor = VENDORS[name]
    try:
        signed = vendor.headers(now=int(time.time()), body=body)
    except UnicodeDecodeError:
        return  # the vendor's SDK signs only text
    headers = [(key.encode(), value.encode()) for key, value in signed.items() if key != "Content-Type"]
    kind = b"application/x-www-form-urlencoded" if name == "twilio" else content_type
    status = status_of(fuzzed, "POST", name, [*headers, (b"Content-Type", kind)], body)
    # Twilio signs text. Its library may decode bytes that are not UTF-8 differently from its servers.
    assert status in ({200, 400, 401, 415} if name == "twilio" and b"%" in body else {200, 400, 415})
