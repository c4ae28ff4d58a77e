"""Signed values: content that its reader cannot change, such as the cookie of a session.

A value is the content in URL-safe base64 without padding, a dot, and HMAC-SHA-256 over the content, in the same form.
The key is derived from FILAS_SECRET_KEY by HKDF with the label of the purpose, so that a value of one purpose is not
valid for another one. The content is not encrypted.
"""

import base64
import hmac
import re
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAX_CHARS: Final = 2000
"""A longer value is not read. A browser stores at most 4096 bytes of a cookie."""

_VALUE: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})")


class Signer:
    """Makes and reads the signed values of one purpose. `secret_key` is FILAS_SECRET_KEY."""

    def __init__(self, secret_key: str, purpose: str) -> None:
        info = f"filas {purpose} v1".encode()
        self._key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret_key.encode())

    def __repr__(self) -> str:
        return "Signer(…)"

    def sign(self, content: bytes) -> str:
        """Returns the signed value of `content`."""
        return f"{_encoded(content)}.{_encoded(self.digest(content))}"

    def verify(self, value: str) -> bytes | None:
        """Returns the content of a signed value; None if this key did not sign it."""
        parts = _VALUE.fullmatch(value) if len(value) <= MAX_CHARS else None
        if parts is None:
            return None
        try:
            content = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        except ValueError:
            return None
        # The text is compared, not its bytes: base64 has several texts for some bytes.
        return content if hmac.compare_digest(self.sign(content).encode(), value.encode()) else None

    def digest(self, content: bytes) -> bytes:
        """Returns the HMAC of `content` (32 bytes)."""
        return hmac.digest(self._key, content, "sha256")


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
