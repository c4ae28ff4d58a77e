"""Encrypts stored secrets, and reads those that are in the environment.

A stored secret is `enc:…` (encrypted) or `env:NAME` (the variable NAME of the process that uses it). The encryption is
AES-256-GCM: `enc:`, and then in URL-safe base64 one byte of version (1), a random nonce of 12 bytes, the ciphertext and
its tag of 16 bytes. The key is derived from FILAS_SECRET_KEY by HKDF with SHA-256.
"""

import base64
import os
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from filas.contract.storable_text import from_lossless_bytes, lossless_bytes
from filas.errors import SecretUnreadable

SEALED: Final = "enc:"
FROM_ENVIRONMENT: Final = "env:"

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_INFO: Final = b"filas stored secret v1"


class SecretBox:
    """Encrypts and decrypts secrets. `key` is FILAS_SECRET_KEY (any text)."""

    def __init__(self, key: str) -> None:
        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO)
        self._cipher = AESGCM(derivation.derive(key.encode()))

    def __repr__(self) -> str:
        return "SecretBox(…)"

    def seal(self, text: str) -> str:
        """Returns `text` encrypted as `enc:…`. Two calls with the same text return different values."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, lossless_bytes(text), _VERSION)
        return SEALED + base64.urlsafe_b64encode(_VERSION + nonce + sealed).decode()

    def open(self, sealed: str) -> str:
        """Decrypts `enc:…`. Raises SecretUnreadable if the value is damaged or was encrypted with another key."""
        try:
            raw = base64.b64decode(sealed.removeprefix(SEALED), altchars=b"-_", validate=True)
        except ValueError:
            raise SecretUnreadable("a stored secret is damaged: it is not base64") from None
        if not sealed.startswith(SEALED) or raw[:1] != _VERSION:
            raise SecretUnreadable("a stored secret has a format that this version does not know")
        nonce, body = raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :]
        try:
            return from_lossless_bytes(self._cipher.decrypt(nonce, body, _VERSION))
        except (InvalidTag, ValueError):
            raise SecretUnreadable("a stored secret cannot be decrypted with the present FILAS_SECRET_KEY") from None

    def reveal(self, value: str, environ: Mapping[str, str]) -> str:
        """Returns the secret of a stored value: the variable of `env:NAME`, the decrypted `enc:…`, or `value` itself.

        Raises SecretUnreadable if the variable is not set or the value cannot be decrypted.
        """
        if value.startswith(FROM_ENVIRONMENT):
            name = value.removeprefix(FROM_ENVIRONMENT)
            if name not in environ:
                raise SecretUnreadable(f"the environment variable {name} of a secret is not set")
            return environ[name]
        return self.open(value) if value.startswith(SEALED) else value
