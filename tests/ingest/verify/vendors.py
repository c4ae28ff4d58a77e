"""Requests that are signed by the vendors' SDKs, where there is one."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import standardwebhooks
import stripe
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from multidict import CIMultiDict, MultiDict
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator

from ingest.verify.scheme import ReceivedRequest, Scheme
from tests.ingest.verify.received_requests import scheme

NOW = 1_790_000_000
URL = "https://filas.example/webhooks/in"
FORM_TYPE = "application/x-www-form-urlencoded"
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = "whpk_" + base64.b64encode(PRIVATE_KEY.public_key().public_bytes_raw()).decode()
OTHER_PUBLIC_KEY = (
    "whpk_"
    + base64.b64encode(
        Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))).public_key().public_bytes_raw()
    ).decode()
)


@dataclass(frozen=True)
class Vendor:
    """One way to sign. `sign(body, now, secret)` returns the headers; `signed` and `timed` name those with the
    signature and the time; `window` states whether the time is checked; `options` are the other fields of `auth`."""

    type: str
    secret: str
    other: str
    body: bytes
    sign: Callable[[bytes, int, str], dict[str, str]]
    signed: str
    timed: str | None = None
    window: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def auth(self, *secrets: str) -> dict[str, Any]:
        """Returns the webhook's `auth`, with these secrets or its own."""
        return {"type": self.type, "secrets": list(secrets or (self.secret,)), **self.options}

    def check(self, *secrets: str) -> Scheme:
        """Returns the webhook's check, with these secrets or its own."""
        return scheme(**self.auth(*secrets))

    def request(
        self, headers: dict[str, str], body: bytes | None = None, *, now: float = NOW, url: str = URL
    ) -> ReceivedRequest:
        """Returns a request with these headers."""
        query = MultiDict({"bodySHA256": url.partition("bodySHA256=")[2]} if "bodySHA256" in url else {})
        return ReceivedRequest(
            "POST", CIMultiDict(headers), query, self.body if body is None else body, now, lambda: url
        )

    def headers(self, *, now: int = NOW, secret: str | None = None, body: bytes | None = None) -> dict[str, str]:
        """Returns the headers of a valid request, or of one that was signed with these arguments."""
        return self.sign(self.body if body is None else body, now, secret or self.secret)


def _hub(body: bytes, _now: int, secret: str) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Delivery": "d-1", "X-GitHub-Event": "push"}


def _slack(body: bytes, now: int, secret: str) -> dict[str, str]:
    signature = SignatureVerifier(secret).generate_signature(timestamp=str(now), body=body)
    assert signature is not None
    return {"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": str(now)}


def _stripe(body: bytes, now: int, secret: str) -> dict[str, str]:
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, now)
    return {"Stripe-Signature": header}


def _shopify(body: bytes, _now: int, secret: str) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {"X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(), "X-Shopify-Webhook-Id": "b54557e4"}


def _standard(body: bytes, now: int, secret: str) -> dict[str, str]:
    signature = standardwebhooks.Webhook(secret).sign("msg_1", datetime.fromtimestamp(now, UTC), body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signature}


def _svix(body: bytes, now: int, secret: str) -> dict[str, str]:
    return {name.replace("webhook-", "svix-"): value for name, value in _standard(body, now, secret).items()}


def _standard_public(body: bytes, now: int, secret: str) -> dict[str, str]:
    number = 0 if secret == PUBLIC_KEY else 1
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(number, 32 + number)))
    signature = base64.b64encode(key.sign(b"msg_1.%d.%b" % (now, body))).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": f"v1a,{signature}"}


SMS = {"From": "+5511999990000", "Body": "olá & até", "MessageSid": "SM1", "SmsStatus": "received", "Empty": ""}


def _twilio(body: bytes, _now: int, secret: str) -> dict[str, str]:
    params = MultiDict(parse_qsl(body.decode(), keep_blank_values=True))
    return {"X-Twilio-Signature": RequestValidator(secret).compute_signature(URL, params), "Content-Type": FORM_TYPE}


def _token(_body: bytes, _now: int, secret: str) -> dict[str, str]:
    return {"X-Telegram-Bot-Api-Secret-Token": secret}


def _configured(body: bytes, now: int, secret: str) -> dict[str, str]:
    digest = hmac.new(secret.encode(), b"v1:%d:%b" % (now, body), hashlib.sha512).digest()
    return {"X-Sig": "sha512=" + base64.b64encode(digest).decode(), "X-Sig-Time": str(now)}


def _json(**document: object) -> bytes:
    return json.dumps(document).encode()


_WHSEC, _OTHER_WHSEC = (f"whsec_{base64.b64encode(key).decode()}" for key in (b"a" * 24, b"b" * 24))
_HUB = "X-Hub-Signature-256"
_WEBHOOK = "webhook-signature"

VENDORS = {
    "hmac": Vendor(
        "hmac",
        "a key of our own",
        "another",
        _json(a=1),
        _configured,
        "X-Sig",
        timed="X-Sig-Time",
        window=True,
        options={
            "header": "X-Sig",
            "prefix": "sha512=",
            "algorithm": "sha512",
            "encoding": "base64",
            "template": "v1:{timestamp}:{body}",
            "timestampHeader": "X-Sig-Time",
            "toleranceSeconds": 300,
        },
    ),
    "meta": Vendor("meta", "app secret", "another", _json(object="page", entry=[]), _hub, _HUB),
    "github": Vendor("github", "s3cret", "another", _json(ref="refs/heads/main"), _hub, _HUB),
    "slack": Vendor(
        "slack",
        "8f742231b10e8888abcd99yyyzzz85a5",
        "another",
        _json(type="event_callback", event_id="Ev1"),
        _slack,
        "X-Slack-Signature",
        timed="X-Slack-Request-Timestamp",
        window=True,
    ),
    "stripe": Vendor("stripe", "whsec_x", "whsec_y", _json(id="evt_1"), _stripe, "Stripe-Signature", window=True),
    "shopify": Vendor("shopify", "client secret", "another", _json(id=1), _shopify, "X-Shopify-Hmac-Sha256"),
    "twilio": Vendor("twilio", "12345", "54321", urlencode(SMS).encode(), _twilio, "X-Twilio-Signature"),
    "standard-webhooks": Vendor(
        "standard-webhooks", _WHSEC, _OTHER_WHSEC, _json(a=1), _standard, _WEBHOOK, "webhook-timestamp", window=True
    ),
    "standard-webhooks-svix": Vendor(
        "standard-webhooks", _WHSEC, _OTHER_WHSEC, _json(a=1), _svix, "svix-signature", "svix-timestamp", window=True
    ),
    "standard-webhooks-ed25519": Vendor(
        "standard-webhooks",
        PUBLIC_KEY,
        OTHER_PUBLIC_KEY,
        _json(a=1),
        _standard_public,
        _WEBHOOK,
        "webhook-timestamp",
        window=True,
    ),
    "telegram": Vendor(
        "telegram", "tok-en_1", "tok-en_2", _json(update_id=1), _token, "X-Telegram-Bot-Api-Secret-Token"
    ),
}
