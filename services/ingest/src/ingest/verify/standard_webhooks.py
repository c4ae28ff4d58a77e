"""`standard-webhooks`: the specification Standard Webhooks, which Svix and many other senders use.

`webhook-signature` is a list of signatures over `{webhook-id}.{webhook-timestamp}.{body}`, separated by blanks. An
entry is `v1,` and the base64 HMAC-SHA256 with the decoded `whsec_` secret, or `v1a,` and the base64 Ed25519 signature
for the `whpk_` public key. One correct entry is enough; entries of other versions are ignored. The timestamp may differ
from our clock by 300 s. Senders that use Svix name the same headers `svix-id`, `svix-timestamp` and `svix-signature`.

Sources: standardwebhooks.com, the specification; docs.svix.com, "Verifying webhooks manually".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from filas.contract.storable_text import sent_bytes
from filas.crypto.standard_webhooks import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, InvalidSecret, decode_secret
from filas.errors import SecretUnreadable
from ingest.verify.credentials import Secrets
from ingest.verify.scheme import OwnKey, PlainScheme, ReceivedRequest, Reveal, revealed
from ingest.verify.signature import TOLERANCE_S, decoded, signed_by_any, time_problem

_PUBLIC: Final = "whpk_"
_SVIX: Final = "svix-"
_ELSEWHERE: Final = ("env:", "enc:", "***")
MAX_PUBLIC_SIGNATURES: Final = 10
"""How many Ed25519 signatures are checked. Each costs far more than a hash, and a header has room for dozens."""


class StandardWebhooksAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"standard-webhooks","secrets":["whsec_…","whpk_…"]}`."""

    type: Literal["standard-webhooks"]
    secrets: Secrets

    def __post_init__(self) -> None:
        for secret in self.secrets:
            if not secret.startswith(_ELSEWHERE):
                _decoded_secret(secret)

    def scheme(self, reveal: Reveal) -> "StandardWebhooksScheme":
        """The check of the signatures."""
        shared: list[bytes] = []
        public: list[Ed25519PublicKey] = []
        failure: InvalidSecret | None = None
        for secret in revealed(self.secrets, reveal):
            try:
                key = _decoded_secret(secret.decode())
            except InvalidSecret as error:  # a wrong secret does not disable the other ones
                failure = error
                continue
            if isinstance(key, bytes):
                shared.append(key)
            else:
                public.append(key)
        if not shared and not public:
            raise SecretUnreadable(str(failure))
        return StandardWebhooksScheme(shared, public)


class StandardWebhooksScheme(PlainScheme):
    """Checks the signatures of both kinds."""

    own_key: OwnKey = "signed"
    signs_requests = True
    sensitive_headers = frozenset({SIGNATURE_HEADER, _SVIX + "signature"})

    def __init__(self, shared: Sequence[bytes], public: Sequence[Ed25519PublicKey]) -> None:
        self._shared = shared
        self._public = public

    def rejection_reason(self, received_request: ReceivedRequest) -> str | None:
        """`signature-missing`, `-malformed` or `-wrong`, `timestamp-malformed` or `-stale`."""
        identity, timestamp, written = _stated(received_request.headers)
        if not identity or timestamp is None or written is None:
            return "signature-missing"
        problem = time_problem(timestamp, received_request.now, TOLERANCE_S)
        if problem is not None:
            return problem
        symmetric, asymmetric = _signatures(written, "v1,"), _signatures(written, "v1a,")
        if not symmetric and not asymmetric:
            return "signature-malformed"
        signed = b"%b.%b.%b" % (sent_bytes(identity), timestamp.encode(), received_request.body)
        is_signed = signed_by_any(symmetric, self._shared, signed, "sha256")
        return None if is_signed or self._is_signed_publicly(asymmetric, signed) else "signature-wrong"

    def duplicate_key(self, received_request: ReceivedRequest, _document: Any, _key: str | None, /) -> str | None:
        """`webhook-id` or `svix-id`: it is signed, and the same for every attempt."""
        return _stated(received_request.headers)[0] or None

    def signed_content(self, received_request: ReceivedRequest, /) -> bytes | None:
        """The id and the body. A retry is signed with another timestamp."""
        return b"%b.%b" % (sent_bytes(_stated(received_request.headers)[0] or ""), received_request.body)

    def _is_signed_publicly(self, signatures: Sequence[bytes], signed: bytes) -> bool:
        tried = signatures[:MAX_PUBLIC_SIGNATURES]
        return any(_is_right(key, signature, signed) for key in self._public for signature in tried)


def _stated(headers: Mapping[str, str]) -> tuple[str | None, str | None, str | None]:
    """The id, the timestamp and the signatures: of one of the two sets of headers, never of both."""
    if SIGNATURE_HEADER in headers or (ID_HEADER in headers and _SVIX + "signature" not in headers):
        return headers.get(ID_HEADER), headers.get(TIMESTAMP_HEADER), headers.get(SIGNATURE_HEADER)
    return headers.get(_SVIX + "id"), headers.get(_SVIX + "timestamp"), headers.get(_SVIX + "signature")


def _signatures(written: str, version: str) -> list[bytes]:
    found = (
        decoded(sent_bytes(part[len(version) :]), "base64") for part in written.split(" ") if part.startswith(version)
    )
    return [signature for signature in found if signature is not None]


def _decoded_secret(secret: str) -> bytes | Ed25519PublicKey:
    """The key in a secret. Raises InvalidSecret."""
    if not secret.startswith(_PUBLIC):
        return decode_secret(secret)
    key = decoded(secret.removeprefix(_PUBLIC).encode(), "base64")
    try:
        return Ed25519PublicKey.from_public_bytes(key or b"")
    except ValueError:
        raise InvalidSecret("a public key of Standard Webhooks is `whpk_` and 32 bytes in base64") from None


def _is_right(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True
