"""Compares a secret that the sender sends in a header: the check of `basic`, `bearer`, `api-key` and `telegram`."""

import binascii
from typing import Annotated

import msgspec

from filas.contract.storable_text import sent_bytes
from ingest.verify.scheme import PlainScheme, ReceivedRequest, equals_any

Secrets = Annotated[list[str], msgspec.Meta(min_length=1)]
HeaderName = Annotated[str, msgspec.Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]


class CredentialsScheme(PlainScheme):
    """Compares the value of `header` with each secret. With a `word`, the value follows that word and a blank.

    `is_base64`: the value is encoded in base64.
    """

    def __init__(
        self,
        header: str,
        secrets: tuple[bytes, ...],
        *,
        word: str | None = None,
        is_base64: bool = False,
        authenticate: str | None = None,
    ) -> None:
        self._header = header
        self._secrets = secrets
        self._word = word
        self._is_base64 = is_base64
        self.authenticate = authenticate
        self.sensitive_headers = frozenset({header.lower()})

    def rejection_reason(self, received_request: ReceivedRequest) -> str | None:
        """`credentials-missing`, `credentials-malformed` or `credentials-wrong`."""
        value = received_request.headers.get(self._header)
        if value is None:
            return "credentials-missing"
        if self._word is not None:
            word, _, value = value.partition(" ")
            if word.lower() != self._word:
                return "credentials-malformed"
        credentials = sent_bytes(value.strip())
        if self._is_base64:
            try:
                credentials = binascii.a2b_base64(credentials, strict_mode=True)
            except binascii.Error:
                return "credentials-malformed"
        return None if equals_any(credentials, self._secrets) else "credentials-wrong"
