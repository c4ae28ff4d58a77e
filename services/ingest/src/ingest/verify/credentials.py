"""A secret that the sender shows in a header, as it is: the check behind `basic`, `bearer` and `api-key`."""

import binascii
from typing import Annotated

import msgspec

from filas.contract.storable_text import sent_bytes
from ingest.verify.scheme import PlainScheme, Presented, equals_any

Secrets = Annotated[list[str], msgspec.Meta(min_length=1)]
HeaderName = Annotated[str, msgspec.Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]


class CredentialsScheme(PlainScheme):
    """Compares what stands in `header`, after `word` and a blank if there is one, with each secret.

    `is_base64`: the secret is written in base64 there.
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

    def refusal(self, presented: Presented) -> str | None:
        """`credentials-missing`, `credentials-malformed` or `credentials-wrong`."""
        value = presented.headers.get(self._header)
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
