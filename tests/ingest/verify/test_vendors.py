"""The scheme of every provider: published cases, signatures by the vendor's SDK, and rejected requests."""

import base64
import hashlib
import string
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from filas.errors import SecretUnreadable
from ingest.providers.document_fields import digest
from ingest.providers.known_providers import AUTH_TYPES, PROVIDERS
from ingest.verify import auth_types
from ingest.verify.scheme import Handshake, ReceivedRequest
from tests.ingest.verify.received_requests import received_request, scheme
from tests.ingest.verify.test_presets import PRESETS
from tests.ingest.verify.vendors import FORM_TYPE, NOW, SMS, URL, VENDORS, Vendor

ANY_VENDOR = pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)

SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
TWILIO_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TWILIO_FORM = {
    "CallSid": "CA1234567890ABCDE",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
    "Caller": "+14158675309",
}


def test_every_scheme_has_cases() -> None:
    """A new scheme needs cases here."""
    assert set(auth_types.CONFIGURATIONS) == AUTH_TYPES
    assert set(auth_types.CONFIGURATIONS) - {vendor.type for vendor in VENDORS.values()} == {
        "none",
        "basic",
        "bearer",
        "api-key",
        *PRESETS,
    }


def test_githubs_published_case() -> None:
    """From its documentation, "Validating webhook deliveries"."""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    request = received_request(b"Hello, World!", {"X-Hub-Signature-256": signature})
    assert scheme(type="github", secrets=["It's a Secret to Everybody"]).rejection_reason(request) is None


def test_slacks_published_case() -> None:
    """From its documentation, "Verifying requests from Slack"."""
    headers = {"X-Slack-Signature": SLACK_SIGNATURE, "X-Slack-Request-Timestamp": "1531420618"}
    check = scheme(type="slack", secrets=[SLACK_SECRET])
    assert check.rejection_reason(received_request(SLACK_BODY, headers, now=1531420618)) is None
    assert check.rejection_reason(received_request(SLACK_BODY, headers)) == "timestamp-stale"


def test_twilios_published_case() -> None:
    """From its documentation, "Validating requests"."""
    headers = {"X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "Content-Type": FORM_TYPE}
    body = urlencode(TWILIO_FORM).encode()
    request = VENDORS["twilio"].request(headers, body, url=TWILIO_URL)
    assert VENDORS["twilio"].check("12345").rejection_reason(request) is None


def test_standard_webhooks_published_case() -> None:
    """From the specification's own library."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    check = scheme(type="standard-webhooks", secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    assert check.rejection_reason(received_request(b'{"test": 2432232314}', headers, now=1614265330)) is None


@ANY_VENDOR
def test_the_vendors_signature_is_accepted(vendor: Vendor) -> None:
    """With the webhook's secret, also if another secret is active, in either order."""
    request = vendor.request(vendor.headers())
    for secrets in ([vendor.secret], [vendor.other, vendor.secret], [vendor.secret, vendor.other]):
        assert vendor.check(*secrets).rejection_reason(request) is None


@ANY_VENDOR
def test_another_secret_is_rejected(vendor: Vendor) -> None:
    """And so is a valid signature of another webhook."""
    assert str(vendor.check(vendor.other).rejection_reason(vendor.request(vendor.headers()))).endswith("-wrong")
    signed_elsewhere = vendor.request(vendor.headers(secret=vendor.other))
    assert str(vendor.check().rejection_reason(signed_elsewhere)).endswith("-wrong")


@ANY_VENDOR
def test_a_changed_body_is_rejected(vendor: Vendor) -> None:
    """Every byte counts, for all senders that sign the body (Telegram sends only a token)."""
    changed = vendor.request(vendor.headers(), vendor.body + b" ")
    assert vendor.check().rejection_reason(changed) == (None if vendor.type == "telegram" else "signature-wrong")


@ANY_VENDOR
def test_a_missing_header_is_rejected(vendor: Vendor) -> None:
    """That of the signature, and that of the time."""
    for name in filter(None, (vendor.signed, vendor.timed)):
        headers = {key: value for key, value in vendor.headers().items() if key != name}
        assert str(vendor.check().rejection_reason(vendor.request(headers))).endswith("-missing")


@ANY_VENDOR
@pytest.mark.parametrize(
    "value", ["", "é", "\udcff", "=", "abc", "sha256=abc", "v0=0", "v1,abc", "t=1,v1=", "a=" * 4000]
)
def test_a_malformed_signature_is_rejected(vendor: Vendor, value: str) -> None:
    """Non-ASCII, wrong base64, half a hex digit, an empty value: each with a reason, none with an exception."""
    reason = vendor.check().rejection_reason(vendor.request(vendor.headers() | {vendor.signed: value}))
    assert str(reason).startswith(("signature-", "timestamp-", "credentials-"))


@pytest.mark.parametrize("vendor", [one for one in VENDORS.values() if one.window], ids=lambda vendor: vendor.type)
def test_the_time_may_be_300_seconds_off_and_no_more(vendor: Vendor) -> None:
    """Before and after our clock, so a recorded request soon becomes useless."""
    headers = vendor.headers()
    for off, reason in ((0, None), (300, None), (-300, None), (301, "timestamp-stale"), (-301, "timestamp-stale")):
        assert vendor.check().rejection_reason(vendor.request(headers, now=NOW + off)) == reason


@pytest.mark.parametrize("written", ["", "soon", "1e9", "-5", "١٧٩", "9" * 40, "1790000000.5", "\udcff", "0x6ab"])
@pytest.mark.parametrize("vendor", [one for one in VENDORS.values() if one.window], ids=lambda vendor: vendor.type)
def test_a_time_that_is_no_number_is_rejected(vendor: Vendor, written: str) -> None:
    """Without an exception, although the rest is correct."""
    headers = vendor.headers()
    name = vendor.timed or vendor.signed
    changed = headers | {name: written if vendor.timed else headers[name].replace(f"t={NOW}", f"t={written}")}
    assert vendor.check().rejection_reason(vendor.request(changed)) == "timestamp-malformed"


@ANY_VENDOR
def test_signatures_are_not_stored(vendor: Vendor) -> None:
    """A reader of an event must not be able to send it again."""
    assert vendor.signed.lower() in vendor.check().sensitive_headers
    # With any scheme. A header that only the definition names is hidden by the scheme itself.
    assert vendor.type == "hmac" or vendor.signed.lower() in auth_types.SIGNATURE_HEADERS


def test_stripe_counts_v1_alone() -> None:
    """One of several `v1` is enough, as during a rotation. `v0` is for tests."""
    vendor = VENDORS["stripe"]
    right = vendor.headers()["Stripe-Signature"]
    digest = right.rpartition("=")[2]
    for header, reason in (
        (f"t={NOW},v1={'0' * 64},v1={digest}", None),
        (f" t={NOW} , v1={digest} ", None),
        (f"t={NOW},v0={digest}", "signature-malformed"),
        (f"v1={digest}", "signature-malformed"),
        (f"t={NOW},v1={'0' * 64}", "signature-wrong"),
    ):
        assert vendor.check().rejection_reason(vendor.request({"Stripe-Signature": header})) == reason


def test_standard_webhooks_ignores_unknown_versions() -> None:
    """Each version has its own keys."""
    vendor, public = VENDORS["standard-webhooks"], VENDORS["standard-webhooks-ed25519"]
    right, right_public = vendor.headers()["webhook-signature"], public.headers()["webhook-signature"]
    both = vendor.check(vendor.secret, public.secret)
    for written, reason in (
        (f"v1,{base64.b64encode(bytes(32)).decode()} {right}", None),
        (f"v2,abc {right_public}", None),
        (right.replace("v1,", "v1a,"), "signature-wrong"),
        (right_public.replace("v1a,", "v1,"), "signature-wrong"),
        (right.replace("v1,", "v9,"), "signature-malformed"),
    ):
        assert both.rejection_reason(vendor.request(vendor.headers() | {"webhook-signature": written})) == reason


@pytest.mark.parametrize("secret", ["whsec_???", "whsec_", "whpk_AAAA", "no base64!"])
def test_an_invalid_standard_webhooks_secret_is_rejected_when_it_is_stored(secret: str) -> None:
    """One that is detected later disables only itself."""
    with pytest.raises(msgspec.ValidationError):
        auth_types.configuration({"type": "standard-webhooks", "secrets": [secret]})
    vendor = VENDORS["standard-webhooks"]
    revealed = {"env:OLD": secret, "env:NEW": vendor.secret}
    stored = auth_types.configuration({"type": "standard-webhooks", "secrets": list(revealed)})
    assert stored.scheme(revealed.__getitem__).rejection_reason(vendor.request(vendor.headers())) is None
    with pytest.raises(SecretUnreadable):
        auth_types.configuration({"type": "standard-webhooks", "secrets": ["env:OLD"]}).scheme(revealed.__getitem__)


@given(
    body=st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    key=st.binary(min_size=1, max_size=64),
    identity=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
)
def test_any_signature_of_the_reference_library_is_accepted(body: str, key: bytes, identity: str) -> None:
    """Standard Webhooks, over any text."""
    secret = "whsec_" + base64.b64encode(key).decode()
    signature = standardwebhooks.Webhook(secret).sign(identity, datetime.fromtimestamp(NOW, UTC), body)
    headers = {"webhook-id": identity, "webhook-timestamp": str(NOW), "webhook-signature": signature}
    check = scheme(type="standard-webhooks", secrets=[secret])
    assert check.rejection_reason(received_request(body.encode(), headers, now=NOW)) is None


_FIELDS = st.lists(st.tuples(st.text(max_size=8), st.text(max_size=20)), max_size=8)


@given(fields=_FIELDS, port=st.sampled_from(["", ":443", ":8443"]), query=st.sampled_from(["", "?a=1", "?b=%20&b=2"]))
def test_any_signature_of_twilios_library_is_accepted(fields: list[tuple[str, str]], port: str, query: str) -> None:
    """Repeated fields count once, in order. The URL may have its port or not."""
    vendor = VENDORS["twilio"]
    fields = [(name, value) for name, value in fields if _is_encodable(name + value)]
    distinct: dict[str, Any] = {name: [other for key, other in fields if key == name] for name, _ in fields}
    url = f"https://filas.example{port}/webhooks/in{query}"
    signature = RequestValidator(vendor.secret).compute_signature(url, _Form(distinct))
    headers = {"X-Twilio-Signature": signature, "Content-Type": FORM_TYPE}
    body = urlencode(fields).encode()
    assert vendor.check().rejection_reason(vendor.request(headers, body, url=url)) is None
    if not port:
        assert (
            vendor.check().rejection_reason(vendor.request(headers, body, url=url.replace("example/", "example:443/")))
            is None
        )


class _Form(dict[str, Any]):
    """A form as Twilio's library reads it."""

    def getall(self, name: str) -> list[str]:
        """Returns every value of a field."""
        found: list[str] = self[name]
        return found


def _is_encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def test_twilio_signs_the_address_that_it_was_given() -> None:
    """`url` states it if a proxy hides it; the query is that of the request. Another address is rejected."""
    vendor = VENDORS["twilio"]
    inside = "http://10.0.0.7:8080/webhooks/in"
    request = vendor.request(vendor.headers(), url=inside)
    assert vendor.check().rejection_reason(request) == "signature-wrong"
    named = scheme(type="twilio", secrets=[vendor.secret], url=URL)
    assert named.rejection_reason(request) is None
    other = scheme(type="twilio", secrets=[vendor.secret], url=URL + "-other")
    assert other.rejection_reason(request) == "signature-wrong"
    signature = RequestValidator(vendor.secret).compute_signature(f"{URL}?room=1", SMS)
    with_query = vendor.headers() | {"X-Twilio-Signature": signature}
    assert named.rejection_reason(vendor.request(with_query, url=f"{inside}?room=1")) is None
    with pytest.raises(msgspec.ValidationError):
        auth_types.configuration({"type": "twilio", "secrets": ["x"], "url": "filas.example"})


def test_twilios_json_is_signed_through_its_hash() -> None:
    """`bodySHA256` in the query is part of the signed address."""
    vendor, body = VENDORS["twilio"], b'{"a":1}'
    url = f"{URL}?bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = RequestValidator(vendor.secret).compute_signature(url, {})
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/json"}
    assert vendor.check().rejection_reason(vendor.request(headers, body, url=url)) is None
    assert vendor.check().rejection_reason(vendor.request(headers, b'{"a":2}', url=url)) == "signature-wrong"
    bare = headers | {"X-Twilio-Signature": RequestValidator(vendor.secret).compute_signature(URL, {})}
    assert vendor.check().rejection_reason(vendor.request(bare, body)) == "signature-wrong"
    shared = RequestValidator(vendor.secret).compute_signature(url, {}, "HMAC_SHA256")
    settings = {"X-Twilio-Signature": shared, "X-Twilio-Webhooks-Signature-Settings": "key=k, algorithm=HMAC_SHA256"}
    assert vendor.check().rejection_reason(vendor.request(headers | settings, body, url=url)) is None


def test_a_form_of_a_million_fields_is_rejected() -> None:
    """Before the fields are sorted."""
    vendor = VENDORS["twilio"]
    body = b"&".join(b"a%d=" % number for number in range(100_000))
    headers = vendor.headers()
    assert vendor.check().rejection_reason(vendor.request(headers, body)) == "body-malformed"


@pytest.mark.parametrize(
    ("name", "headers", "body", "answer"),
    [
        ("slack", {}, b'{"type":"url_verification","challenge":"3eZb","token":"x"}', Handshake(200, "3eZb")),
        ("slack", {}, b'{"type":"event_callback","event":{"text":"url_verification"}}', None),
        ("slack", {}, b'{"type":"url_verification"}', None),
        ("slack", {}, b"url_verification\xff", None),
        ("slack", {}, b'{"type":"url_verification","challenge":' + b"[" * 5000, None),
        ("github", {"X-GitHub-Event": "ping"}, b"{}", Handshake(200, "pong")),
        ("github", {"X-GitHub-Event": "push"}, b"{}", None),
        ("stripe", {"X-GitHub-Event": "ping"}, b'{"type":"url_verification","challenge":"x"}', None),
    ],
)
def test_a_challenge_is_answered_and_starts_nothing(
    name: str, headers: dict[str, str], body: bytes, answer: Handshake | None
) -> None:
    """Slack's challenge and GitHub's ping."""
    assert VENDORS[name].check().greeting(received_request(body, headers)) == answer


@pytest.mark.parametrize(
    ("name", "headers", "document", "key"),
    [
        ("github", {"X-GitHub-Delivery": "72d3162e"}, {}, "72d3162e"),
        ("github", {}, {}, None),
        ("shopify", {"X-Shopify-Webhook-Id": "b54557e4"}, {}, "b54557e4"),
        ("stripe", {}, {"id": "evt_1"}, "evt_1"),
        ("stripe", {}, {"id": 7}, None),
        ("stripe", {}, [], None),
        ("standard-webhooks", {"webhook-id": "msg_1"}, {}, "msg_1"),
        ("standard-webhooks-svix", {"svix-id": "msg_2"}, {}, "msg_2"),
        ("standard-webhooks", {"webhook-id": "msg_1", "webhook-signature": "v1,", "svix-id": "x"}, {}, "msg_1"),
        ("telegram", {}, {"update_id": 7}, "7"),
        ("slack", {}, {"event_id": "Ev1"}, "Ev1"),
        ("slack", {}, {"command": "/go", "trigger_id": "1.2"}, "1.2"),
        ("slack", {}, {"payload": '{"trigger_id":"3.4"}'}, "3.4"),
        ("slack", {}, {"payload": "{"}, digest({"payload": "{"})),
        ("twilio", {"I-Twilio-Idempotency-Token": "t-1"}, SMS, "t-1"),
        ("twilio", {}, SMS, "SM1:received"),
        ("twilio", {}, {"MessageSid": "SM2", "MessageStatus": "delivered"}, "SM2:delivered"),
        ("twilio", {}, {"CallSid": "CA1", "CallStatus": "ringing", "SequenceNumber": "2"}, "CA1:ringing:2"),
        ("twilio", {}, {}, digest({})),
    ],
)
def test_a_duplicate_is_known_by_the_vendors_own_id(
    name: str, headers: dict[str, str], document: Any, key: str | None
) -> None:
    """The id is the same for every attempt to send. Without an id, it is the hash of the document."""
    reader = PROVIDERS.get(name)
    found = next(iter(reader.parts(document))).key if reader is not None else None
    assert VENDORS[name].check().duplicate_key(received_request(headers=headers), document, found) == key


_CHECKS = [vendor.check() for vendor in VENDORS.values()]
_ANY_TEXT = st.text(st.characters(codec=None), max_size=60) | st.text(string.hexdigits + "=,:v1t. ", max_size=90)


@given(
    signature=_ANY_TEXT,
    time=_ANY_TEXT | st.just(str(NOW)),
    content_type=st.sampled_from(["", FORM_TYPE, "application/json"]),
    body=st.binary(max_size=100),
    url=_ANY_TEXT | st.just(URL),
)
def test_any_other_request_is_rejected_without_an_exception(
    signature: str, time: str, content_type: str, body: bytes, url: str
) -> None:
    """Any headers, body and address, lone surrogates included."""
    headers = {vendor.signed: signature for vendor in VENDORS.values()}
    headers |= {vendor.timed: time for vendor in VENDORS.values() if vendor.timed}
    headers |= {"webhook-id": signature, "Content-Type": content_type, "X-GitHub-Event": time}
    request = ReceivedRequest(
        "POST", received_request(headers=headers).headers, received_request(query={"a": time}).query, body, NOW
    )
    request.url = lambda: url
    for check in _CHECKS:
        assert check.rejection_reason(request) is not None
        check.greeting(request)
        check.handshake(request)
