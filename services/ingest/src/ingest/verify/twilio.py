"""`twilio`: `X-Twilio-Signature` is the base64 HMAC-SHA1, with the auth token, of the called URL and the form.

It is an HMAC-SHA256 with a shared key if `X-Twilio-Webhooks-Signature-Settings` states so. The signed text is the
public URL, followed by the name and value of each form field, sorted by name; a repeated value counts once. If the body
is not a form, only the URL is signed, and its query has the hash of the body as `bodySHA256`. Twilio signs some URLs
with their port and some without it, so both are accepted.

Source: twilio.com/docs/usage/security, "Validating requests".
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from filas.contract.storable_text import BYTE_ESCAPES, sent_bytes
from ingest.forms.urlencoded_form import TooManyFields, read_fields
from ingest.verify.credentials import Secrets
from ingest.verify.scheme import OwnKey, PlainScheme, ReceivedRequest, Reveal, revealed
from ingest.verify.signature import Algorithm, decoded, signed_by_any

_HEADER: Final = "X-Twilio-Signature"
_SETTINGS_HEADER: Final = "X-Twilio-Webhooks-Signature-Settings"
_FORM: Final = "application/x-www-form-urlencoded"
_ADDRESS: Final = re.compile(r"(https?)://([^/?#@]*@)?(\[[^]/?#]+\]|[^/?#:]+)(?::([0-9]{0,5}))?([/?].*)?", re.ASCII)
_PORTS: Final = {"https": "443", "http": "80"}


class TwilioAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """`{"type":"twilio","secrets":["auth token"],"url":"https://example.com/webhooks/sms"}`.

    `url` is the address that is configured at Twilio, without the query. By default it is taken from the request.
    """

    type: Literal["twilio"]
    secrets: Secrets
    url: Annotated[str, msgspec.Meta(max_length=2000)] | None = None

    def __post_init__(self) -> None:
        if self.url is not None and not _ADDRESS.fullmatch(self.url):
            raise ValueError("`url` must be an http or https address")

    def scheme(self, reveal: Reveal) -> "TwilioScheme":
        """The check of the signature."""
        return TwilioScheme(revealed(self.secrets, reveal), self.url)


class TwilioScheme(PlainScheme):
    """Checks Twilio's signature."""

    own_key: OwnKey = "unsigned"
    signs_requests = True
    reads_fields = True
    sensitive_headers = frozenset({_HEADER.lower()})

    def __init__(self, secrets: tuple[bytes, ...], url: str | None) -> None:
        self._secrets = secrets
        self._url = url

    def rejection_reason(self, received_request: ReceivedRequest) -> str | None:
        """`signature-missing`, `-malformed` or `-wrong`, `body-malformed` for a form with too many fields."""
        value = received_request.headers.get(_HEADER)
        if value is None:
            return "signature-missing"
        digest = decoded(sent_bytes(value.strip()), "base64")
        if digest is None:
            return "signature-malformed"
        is_form = _is_form(received_request)
        try:
            fields = _signed_fields(received_request.decoded) if is_form else b""
        except TooManyFields:
            return "body-malformed"
        if not is_form and received_request.body and not _is_body_of(received_request.query, received_request.body):
            return "signature-wrong"
        algorithm = _algorithm(received_request.headers.get(_SETTINGS_HEADER, ""))
        right = False
        for url in self._addresses(received_request):
            right |= signed_by_any((digest,), self._secrets, sent_bytes(url) + fields, algorithm)
        return None if right else "signature-wrong"

    def duplicate_key(self, received_request: ReceivedRequest, _document: Any, key: str | None, /) -> str | None:
        """`I-Twilio-Idempotency-Token`, otherwise the id and status of the message or call."""
        return received_request.headers.get("I-Twilio-Idempotency-Token") or key

    def signed_content(self, received_request: ReceivedRequest, /) -> bytes | None:
        """The URL without its port, and the fields. The body itself may be changed: the order and the coding of a
        form's fields are not signed."""
        fields = _signed_fields(received_request.decoded) if _is_form(received_request) else b""
        return sent_bytes(self._addresses(received_request)[0]) + fields

    def _addresses(self, received_request: ReceivedRequest) -> list[str]:
        """The URLs that Twilio may have signed: with and without the port."""
        called = received_request.url()
        if self._url is not None:
            query = called.partition("?")[2]
            called = f"{self._url}?{query}" if query and "?" not in self._url else self._url
        match = _ADDRESS.fullmatch(called)
        if match is None:
            return [called]
        scheme, user, host, port, rest = match.groups(default="")
        return [f"{scheme}://{user}{host}{written}{rest}" for written in ("", f":{port or _PORTS[scheme]}")]


def _is_form(received_request: ReceivedRequest) -> bool:
    return received_request.headers.get("Content-Type", "").partition(";")[0].strip().lower() == _FORM


def _algorithm(settings: str) -> Algorithm:
    return "sha256" if "algorithm=hmac_sha256" in settings.replace(" ", "").lower() else "sha1"


def _signed_fields(body: bytes) -> bytes:
    """The names and values in the order in which they are signed. Raises TooManyFields."""
    pairs = {
        (name.decode("utf-8", BYTE_ESCAPES), value.decode("utf-8", BYTE_ESCAPES)) for name, value in read_fields(body)
    }
    return b"".join(sent_bytes(name + value) for name, value in sorted(pairs))


def _is_body_of(query: Mapping[str, str], body: bytes) -> bool:
    expected = hashlib.sha256(body).hexdigest()
    return hmac.compare_digest(sent_bytes(query.get("bodySHA256", "").lower()), expected.encode())
