"""Compares a secret that the sender sends: the check of `basic`, `bearer`, `api-key` and `telegram`."""

import binascii
import re
from typing import Annotated, Final

import msgspec

from filas.contract.storable_text import sent_bytes
from ingest.verify.request_values import Place, RequestValues
from ingest.verify.scheme import PlainScheme, ReceivedRequest, equals_any

Secrets = Annotated[list[str], msgspec.Meta(min_length=1)]
_HEADER_NAME: Final = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$"
HeaderName = Annotated[str, msgspec.Meta(pattern=_HEADER_NAME)]
ValueName = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class CredentialsScheme(PlainScheme):
    """Compares the value of `header` with each secret. With a `word`, the value follows that word and a blank; it may
    be alone if `word_is_optional`.

    `is_base64`: the value is encoded in base64.
    """

    def __init__(
        self,
        header: str,
        secrets: tuple[bytes, ...],
        *,
        word: str | None = None,
        word_is_optional: bool = False,
        is_base64: bool = False,
        authenticate: str | None = None,
    ) -> None:
        self._header = header
        self._secrets = secrets
        self._word = word
        self._word_is_optional = word_is_optional
        self._is_base64 = is_base64
        self.authenticate = authenticate
        self.sensitive_headers = frozenset({header.lower()})

    def rejection_reason(self, received_request: ReceivedRequest) -> str | None:
        """`credentials-missing`, `credentials-malformed` or `credentials-wrong`."""
        value = received_request.headers.get(self._header)
        if value is None:
            return "credentials-missing"
        if self._word is not None:
            word, blank, rest = value.partition(" ")
            if word.lower() == self._word:
                value = rest
            elif blank or not self._word_is_optional:
                return "credentials-malformed"
        credentials = sent_bytes(value.strip())
        if self._is_base64:
            try:
                credentials = binascii.a2b_base64(credentials, strict_mode=True)
            except binascii.Error:
                return "credentials-malformed"
        return None if equals_any(credentials, self._secrets) else "credentials-wrong"


class SecretValueScheme(PlainScheme):
    """Compares the value at the first of `places` that the request has. A place is a header, a query parameter, or a
    field of a form or of a JSON object."""

    def __init__(self, places: tuple[tuple[Place, str], ...], secrets: tuple[bytes, ...]) -> None:
        self._places = places
        self._secrets = secrets
        self.reads_fields = any(place == "form" for place, _ in places)
        self.sensitive_headers = frozenset(name.lower() for place, name in places if place == "header")
        self.sensitive_query = frozenset(name for place, name in places if place == "query")

    def rejection_reason(self, received_request: ReceivedRequest) -> str | None:
        """`credentials-missing` or `credentials-wrong`."""
        values = RequestValues(received_request)
        for place, name in self._places:
            value = values.value(place, name)
            if value is not None:
                return None if equals_any(value, self._secrets) else "credentials-wrong"
        return "credentials-missing"


def checked_place(place: Place, name: str | None) -> None:
    """Raises ValueError if a definition does not name the query parameter or the field, or if no header can have the
    name."""
    if place != "header" and name is None:
        raise ValueError("`in` `query` or `form` requires `name`")
    if place == "header" and name is not None and not re.fullmatch(_HEADER_NAME, name):
        raise ValueError("`name` must be the name of a header: letters, digits and hyphens, without blanks")
