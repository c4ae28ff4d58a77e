"""Encrypts stored secrets, and reads those that are in the environment.

A stored secret is `enc:…` (encrypted) or `env:NAME` (the variable NAME of the process that uses it, if
`secret_variables` allows it). The encryption is AES-256-GCM: `enc:`, and then in URL-safe base64 one byte of version
(1), a random nonce of 12 bytes, the ciphertext and its tag of 16 bytes. The key is derived from FILAS_SECRET_KEY by
HKDF with SHA-256.
"""

import base64
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from filas.contract.storable_text import from_lossless_bytes, lossless_bytes
from filas.crypto.secret_variables import NO_VARIABLES, SecretVariables
from filas.errors import SecretOfNewerVersion, SecretUnreadable

SEALED: Final = "enc:"
FROM_ENVIRONMENT: Final = "env:"

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_INFO: Final = b"filas stored secret v1"


class SecretBox:
    """Encrypts and decrypts secrets, and reads those in `variables`. `key` is FILAS_SECRET_KEY (any text)."""

    def __init__(self, key: str, variables: SecretVariables = NO_VARIABLES) -> None:
        self.variables = variables
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
            raise SecretOfNewerVersion("a stored secret has a format that this version does not know")
        nonce, body = raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :]
        try:
            return from_lossless_bytes(self._cipher.decrypt(nonce, body, _VERSION))
        except (InvalidTag, ValueError):
            raise SecretUnreadable("a stored secret cannot be decrypted with the present FILAS_SECRET_KEY") from None

    def reveal(self, value: str) -> str:
        """Returns the secret of a stored value: the variable of `env:NAME`, the decrypted `enc:…`, or `value` itself.

        Raises SecretUnreadable if the variable cannot be read, the value cannot be decrypted, or the secret has a lone
        surrogate, which no request can carry.
        """
        if value.startswith(FROM_ENVIRONMENT):
            return self.variables.read(value.removeprefix(FROM_ENVIRONMENT))
        secret = self.open(value) if value.startswith(SEALED) else value
        try:
            secret.encode()
        except UnicodeEncodeError:
            raise SecretUnreadable("a stored secret is not valid Unicode") from None
        return secret
