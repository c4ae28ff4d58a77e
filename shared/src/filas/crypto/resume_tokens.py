"""The tokens of resume addresses: `/resume/{token}`.

A token identifies a callback of an execution and proves that Filas created it. It consists of 16 bytes of the
execution's id, 16 bytes of the callback's id, and the first 16 bytes of HMAC-SHA-256 over both, in URL-safe base64
without padding (64 characters). The key is derived from FILAS_SECRET_KEY by HKDF with SHA-256.
"""

import base64
import hmac
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PATH: Final = "/resume/"
TOKEN_CHARS: Final = 64

_INFO: Final = b"filas resume token v1"
_MAC_BYTES: Final = 16


class ResumeTokens:
    """Creates and reads tokens. `key` is FILAS_SECRET_KEY (any text)."""

    def __init__(self, key: str) -> None:
        self._key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(key.encode())

    def __repr__(self) -> str:
        return "ResumeTokens(…)"

    def make(self, execution_id: UUID, callback_id: UUID) -> str:
        """Returns the token of a callback. It is the same at each call."""
        named = execution_id.bytes + callback_id.bytes
        return base64.urlsafe_b64encode(named + self._mac(named)).decode()

    def read(self, token: str) -> tuple[UUID, UUID] | None:
        """Returns the execution and the callback of a token, or None if Filas did not create the token."""
        if len(token) != TOKEN_CHARS:
            return None
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except ValueError:
            return None
        named = raw[:-_MAC_BYTES]
        if not hmac.compare_digest(raw[-_MAC_BYTES:], self._mac(named)):
            return None
        return UUID(bytes=named[:16]), UUID(bytes=named[16:])

    def _mac(self, named: bytes) -> bytes:
        return hmac.digest(self._key, named, "sha256")[:_MAC_BYTES]
