"""The check of a request by every scheme: it raises nothing, and what a sender has signed is accepted as it was signed.

Input: the scheme, the method and target, headers, an empty line, the body.
"""

import base64
import hashlib
import hmac
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from filas.contract import bounded_json
from filas.decoding.json_body import decode_json
from ingest.receive import duplicate_keys
from ingest.verify import auth_types
from ingest.verify.scheme import ReceivedRequest, Scheme
from tests.fuzz.target import chosen, text_of

NOW = 1_790_000_000.0
KEY = "secret"
_SENDGRID = base64.b64encode(
    ec.derive_private_key(7, ec.SECP256R1())
    .public_key()
    .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()
_STANDARD = "whsec_" + base64.b64encode(KEY.encode()).decode()
_PUBLIC = (
    "whpk_" + base64.b64encode(Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()).decode()
)

_OPTIONS: dict[str, dict[str, Any]] = {
    "hmac": {"header": "X-Sig"},
    "meta": {"verifyToken": "token"},
    "sendgrid": {"secrets": [_SENDGRID]},
    "standard-webhooks": {"secrets": [_STANDARD, _PUBLIC]},
    "basic": {"secrets": ["user:secret"]},
    "pagarme": {"secrets": ["user:secret"]},
}
"""The fields of a scheme's definition besides its type and one secret."""

_FURTHER: dict[str, dict[str, Any]] = {
    "bearer-query": {"type": "bearer", "in": "query", "name": "token"},
    "bearer-form": {"type": "bearer", "in": "form", "name": "token"},
    "api-key-form": {"type": "api-key", "in": "form", "name": "token"},
    "hmac-time": {
        "type": "hmac", "signature": {"name": "X-Sig", "pattern": "t={timestamp},v1={signature}"},
        "template": "{timestamp}.{body}", "toleranceSeconds": 300, "encoding": "base64", "algorithm": "sha512",
    },
    "hmac-parts": {
        "type": "hmac", "signature": {"in": "query", "name": "sig"}, "coversBody": False,
        "template": "{url}{header:X-Id}{query:id}{form:id}{json:a.0.b}",
    },
    "hmac-form": {"type": "hmac", "signature": {"in": "form", "name": "sig"}, "template": "{body}"},
    "twilio-url": {"type": "twilio", "url": "https://filas.example:8443/in"},
    "hubspot-url": {"type": "hubspot", "url": "https://filas.example/in"},
}  # fmt: skip


AUTHS: dict[str, dict[str, Any]] = {
    **{kind: {"type": kind, "secrets": [KEY]} | _OPTIONS.get(kind, {}) for kind in auth_types.CONFIGURATIONS},
    **{name: {"secrets": [KEY]} | auth for name, auth in _FURTHER.items()},
    "none": {"type": "none"},
}


def _scheme(auth: dict[str, Any]) -> Scheme:
    return auth_types.configuration(auth).scheme(lambda secret: secret)


WORDS = (
    *AUTHS, "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "--x",
    "Authorization: Basic ", "Authorization: Bearer ", "X-Sig: ", "X-Hub-Signature-256: sha256=", "X-Slack-Signature: ",
    "X-Slack-Request-Timestamp: 1790000000", "Stripe-Signature: t=1790000000,v1=", "X-Twilio-Signature: ",
    "X-Twilio-Webhooks-Signature-Settings: algorithm=HMAC_SHA256", "webhook-id: ", "webhook-signature: v1,", "v1a,",
    "webhook-timestamp: 1790000000", "svix-id: ", "svix-signature: v1,", "X-Shopify-Hmac-Sha256: ", "x-signature: ts=,",
    "X-HubSpot-Signature-v3: ", "X-HubSpot-Request-Timestamp: 1790000000000", "bodySHA256=", "hub.mode=subscribe",
    "hub.challenge=", "hub.verify_token=token", "url_verification", "challenge", "Content-Type: ", "signature", "token",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """The documented results only. An id and a signed content are the same at each call."""
    head, _, body = data.partition(b"\n\n")
    lines = text_of(head).split("\n")
    scheme = _scheme(chosen(AUTHS, lines[0]))
    method, _, target = (lines[1] if len(lines) > 1 else "").partition(" ")
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines[2:]:
        name, colon, value = line.partition(":")
        if colon and name.isascii() and name.isprintable():
            headers.add(name, value.strip())
    query = URL.build(path="/", query_string=target.partition("?")[2].partition("#")[0], encoded=True).query
    request = ReceivedRequest(
        method, CIMultiDictProxy(headers), query, body, NOW, lambda: f"https://filas.example{target}"
    )
    _check(scheme, request)
    _check_signed(request)


def _check(scheme: Scheme, request: ReceivedRequest) -> None:
    reason = scheme.rejection_reason(request)
    assert reason is None or (reason and reason.replace("-", "").isalpha()), reason
    assert reason == scheme.rejection_reason(request)
    for answer in (scheme.handshake(request), scheme.greeting(request)):
        if answer is not None:
            assert answer.status in (200, 403)
            answer.text.encode("utf-8", "replace")
    document = None
    try:
        document, _ = decode_json(request.body)
    except bounded_json.InvalidJson:
        pass
    if reason is None:
        signed = scheme.signed_content(request)
        assert signed is None or signed == scheme.signed_content(request)
        assert isinstance(scheme.lasting_content(document, request.body), bytes)
        key = scheme.duplicate_key(request, document, None)
        if key is not None:
            stored = duplicate_keys.bounded(key)
            assert len(stored) <= duplicate_keys.MAX_KEY
            msgspec.json.encode(stored)


def _check_signed(request: ReceivedRequest) -> None:
    """A signature that this function computes is right, and one over another body is wrong."""
    digest = hmac.digest(KEY.encode(), request.body, hashlib.sha256)
    for name, header, value in (
        ("hmac", "X-Sig", digest.hex()),
        ("github", "X-Hub-Signature-256", f"sha256={digest.hex()}"),
        ("shopify", "X-Shopify-Hmac-Sha256", base64.b64encode(digest).decode()),
    ):
        headers = CIMultiDictProxy(CIMultiDict({header: value}))
        scheme = _scheme(AUTHS[name])
        assert scheme.rejection_reason(ReceivedRequest("POST", headers, {}, request.body, NOW)) is None
        assert scheme.rejection_reason(ReceivedRequest("POST", headers, {}, request.body + b"x", NOW)) is not None
