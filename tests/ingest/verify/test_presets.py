"""The checks of further providers: accepted, wrong, old and malformed requests, and the keys of duplicates."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict

from filas.errors import SecretUnreadable
from ingest.verify.scheme import ReceivedRequest
from tests.ingest.verify.received_requests import scheme
from tests.ingest.verify.vendors import NOW

URL = "https://filas.example/webhooks/x"
PRIVATE_KEYS = [ec.derive_private_key(number, ec.SECP256R1()) for number in (7, 8)]
PUBLIC_KEYS = [
    base64.b64encode(
        key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ).decode()
    for key in PRIVATE_KEYS
]


@dataclass
class Sent:
    """The parts of a request."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    url: str = URL

    def received(self, now: float = NOW) -> ReceivedRequest:
        return ReceivedRequest(
            "POST", CIMultiDict(self.headers), MultiDict(self.query), self.body, now, lambda: self.url
        )


def _hex(secret: str, signed: str, algorithm: str = "sha256") -> str:
    return hmac.new(secret.encode(), signed.encode(), algorithm).hexdigest()


def mercadopago(secret: str, now: int) -> Sent:
    digest = _hex(secret, f"id:abc123;request-id:r-1;ts:{now};")
    headers = {"x-signature": f"ts={now},v1={digest}", "x-request-id": "r-1"}
    return Sent(b'{"id":12345,"action":"payment.updated","data":{"id":"ABC123"}}', headers, {"data.id": "ABC123"})


def mailgun(secret: str, now: int) -> Sent:
    signature = {"timestamp": str(now), "token": "t-1", "signature": _hex(secret, f"{now}t-1")}
    return Sent(json.dumps({"signature": signature, "event-data": {"id": "E1"}}).encode())


def sendgrid(secret: str, now: int) -> Sent:
    body = b'[{"event":"open","sg_event_id":"1"}]'
    key = PRIVATE_KEYS[PUBLIC_KEYS.index(secret)]
    signature = key.sign(str(now).encode() + body, ec.ECDSA(hashes.SHA256()))
    names = ("X-Twilio-Email-Event-Webhook-Signature", "X-Twilio-Email-Event-Webhook-Timestamp")
    return Sent(body, dict(zip(names, (base64.b64encode(signature).decode(), str(now)), strict=True)))


def hubspot(secret: str, now: int) -> Sent:
    body, called = '[{"eventId":1}]', f"{URL}?a=x%3Ay"
    signed = f"POST{URL}?a=x:y{body}{now * 1000}".encode()
    digest = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    headers = {"X-HubSpot-Signature-v3": digest, "X-HubSpot-Request-Timestamp": str(now * 1000)}
    return Sent(body.encode(), headers, url=called)


def kiwify(secret: str, _now: int) -> Sent:
    body = '{"order_id":"o-1","webhook_event_type":"order_approved"}'
    return Sent(body.encode(), query={"signature": _hex(secret, body, "sha1")})


def asaas(secret: str, _now: int) -> Sent:
    return Sent(b'{"id":"evt_1"}', {"asaas-access-token": secret})


def hotmart(secret: str, _now: int) -> Sent:
    return Sent(b'{"id":"evt_1"}', {"X-HOTMART-HOTTOK": secret})


def pagarme(secret: str, _now: int) -> Sent:
    return Sent(b'{"id":"hook_1"}', {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"})


@dataclass(frozen=True)
class Preset:
    """How a provider signs. `has_window`: an old request is refused. `signs_body`: another body is refused."""

    send: Callable[[str, int], Sent]
    secrets: tuple[str, str]
    key: str | None
    has_window: bool = False
    signs_body: bool = False


TOKENS = ("token-1", "token-2")
PRESETS = {
    "mercadopago": Preset(mercadopago, TOKENS, "12345", has_window=True),
    "mailgun": Preset(mailgun, TOKENS, "E1"),
    "sendgrid": Preset(sendgrid, (PUBLIC_KEYS[0], PUBLIC_KEYS[1]), None, signs_body=True),
    "hubspot": Preset(hubspot, TOKENS, None, has_window=True, signs_body=True),
    "pagarme": Preset(pagarme, ("user:one", "user:two"), "hook_1"),
    "asaas": Preset(asaas, TOKENS, "evt_1"),
    "kiwify": Preset(kiwify, TOKENS, "o-1:order_approved", signs_body=True),
    "hotmart": Preset(hotmart, TOKENS, "evt_1"),
}
ANY = pytest.mark.parametrize(("name", "preset"), PRESETS.items(), ids=PRESETS)


def reason(name: str, sent: Sent, *secrets: str, now: float = NOW) -> str | None:
    return scheme(type=name, secrets=list(secrets)).rejection_reason(sent.received(now))


@ANY
def test_each_valid_secret_is_accepted(name: str, preset: Preset) -> None:
    """Several are valid at once, for rotation."""
    first, second = preset.secrets
    for secret in preset.secrets:
        assert reason(name, preset.send(secret, NOW), first, second) is None
    assert reason(name, preset.send(second, NOW), first) in ("signature-wrong", "credentials-wrong")


@ANY
def test_a_request_without_a_proof_is_refused(name: str, preset: Preset) -> None:
    assert reason(name, Sent(b"{}"), preset.secrets[0]) in ("signature-missing", "credentials-missing")
    assert reason(name, Sent(b"\xff"), preset.secrets[0]) in ("signature-missing", "credentials-missing")


@ANY
def test_an_old_request_is_refused_where_the_time_is_signed(name: str, preset: Preset) -> None:
    secret = preset.secrets[0]
    for now in (NOW - 301, NOW + 301):
        expected = "timestamp-stale" if preset.has_window else None
        assert reason(name, preset.send(secret, NOW), secret, now=now) == expected


@ANY
def test_another_body_is_refused_where_the_body_is_signed(name: str, preset: Preset) -> None:
    sent = preset.send(preset.secrets[0], NOW)
    sent.body = sent.body.replace(b"1", b"2", 1) + b" "
    if name != "mailgun":  # its signature is in the body
        assert reason(name, sent, preset.secrets[0]) == ("signature-wrong" if preset.signs_body else None)


@ANY
def test_the_key_of_an_event_is_the_providers_id(name: str, preset: Preset) -> None:
    """Without an id, the signed content is the key."""
    check, sent = scheme(type=name, secrets=[preset.secrets[0]]), preset.send(preset.secrets[0], NOW)
    assert check.own_key != "none"
    assert check.duplicate_key(sent.received(), json.loads(sent.body), None) == preset.key
    if preset.key is None:
        assert check.signed_content(sent.received()) == check.signed_content(
            preset.send(preset.secrets[0], NOW + 1).received()
        )


@ANY
def test_no_proof_is_stored(name: str, preset: Preset) -> None:
    """Headers and query parameters that carry one are hidden."""
    check, sent = scheme(type=name, secrets=[preset.secrets[0]]), preset.send(preset.secrets[0], NOW)
    hidden = {header for header in sent.headers if "sig" in header.lower() or "tok" in header.lower()}
    assert {header.lower() for header in hidden} <= check.sensitive_headers
    assert ("signature" in sent.query) == ("signature" in getattr(check, "sensitive_query", ()))


def test_mailguns_routes_sign_fields_of_a_form() -> None:
    digest = _hex("token-1", f"{NOW}t-1")
    body = f"timestamp={NOW}&token=t-1&signature={digest}&subject=oi".encode()
    sent = Sent(body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert reason("mailgun", sent, "token-1") is None
    assert scheme(type="mailgun", secrets=["token-1"]).duplicate_key(sent.received(), {}, None) == "t-1"


def test_hotmart_may_send_its_token_in_the_body() -> None:
    assert reason("hotmart", Sent(b'{"hottok":"token-1"}'), "token-1") is None
    assert reason("hotmart", Sent(b'{"hottok":"x"}'), "token-1") == "credentials-wrong"


def test_mercadopago_leaves_out_what_is_absent() -> None:
    sent = Sent(b"{}", {"x-signature": f"ts={NOW},v1={_hex('token-1', f'ts:{NOW};')}"})
    assert reason("mercadopago", sent, "token-1") is None


@ANY
@given(text=st.text(max_size=60), body=st.binary(max_size=60))
def test_any_other_request_is_refused_without_an_exception(name: str, preset: Preset, text: str, body: bytes) -> None:
    sent = preset.send(preset.secrets[0], NOW)
    changed: Any = Sent(body, dict.fromkeys(sent.headers, text), dict.fromkeys(sent.query, text))
    assert reason(name, changed, preset.secrets[0]) is not None


def test_a_verification_key_of_sendgrid_is_on_the_curve_p_256() -> None:
    """A key of another curve would make every signature wrong. It is refused when it is configured."""
    for curve in (ec.SECP384R1(), ec.SECP256K1()):
        key = ec.derive_private_key(7, curve).public_key()
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(SecretUnreadable, match="P-256"):
            scheme(type="sendgrid", secrets=[base64.b64encode(der).decode()])
