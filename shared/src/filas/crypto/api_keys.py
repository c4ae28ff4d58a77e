"""Keys of the API: how they are made, recognised and hashed.

A key is `filas_` and then 32 random bytes in URL-safe base64 (43 characters). Its hash is HMAC-SHA-256 under a key
that HKDF derives from FILAS_SECRET_KEY. A fast hash is enough, because no one can guess 256 random bits; without
FILAS_SECRET_KEY, a copy of the table does not even confirm a key.
"""

import hashlib
import hmac
import re
import secrets
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MARK: Final = "filas_"
SHOWN: Final = len(MARK) + 6
"""How many characters of a key are shown, so that a person can recognise it. 220 random bits stay unknown."""

_BYTES: Final = 32
_KEY: Final = re.compile(r"filas_[A-Za-z0-9_-]{43}")
_INFO: Final = b"filas api key v1"


def new_key() -> str:
    """Returns a new random key."""
    return MARK + secrets.token_urlsafe(_BYTES)


def has_form(text: str) -> bool:
    """Whether `text` has the form of a key."""
    return _KEY.fullmatch(text) is not None


def without_keys(text: str, replacement: str) -> str:
    """Returns `text` with everything that has the form of a key replaced."""
    return _KEY.sub(replacement, text) if MARK in text else text


class KeyHasher:
    """Hashes keys. `secret_key` is FILAS_SECRET_KEY: with another one, no stored key is valid."""

    def __init__(self, secret_key: str) -> None:
        self._key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret_key.encode())

    def __repr__(self) -> str:
        return "KeyHasher(…)"

    def hash(self, key: str) -> bytes:
        """Returns the hash of a key (32 bytes)."""
        return hmac.digest(self._key, key.encode("utf-8", "surrogateescape"), hashlib.sha256)
