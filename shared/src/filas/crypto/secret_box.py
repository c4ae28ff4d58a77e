"""Secrets at rest: literals are sealed with a key of the installation, or stay outside in the environment.

A stored secret is `enc:…` (sealed here) or `env:NAME` (the variable NAME of the process that needs it).
Sealing is AES-256-GCM: `enc:` and then, in URL-safe base64, one byte of version (1), 12 random bytes of
nonce, the ciphertext and its 16 bytes of tag. The key comes from FILAS_SECRET_KEY by HKDF with SHA-256.
"""

import base64
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

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
    """Seals and opens secrets with a key made of `key` (FILAS_SECRET_KEY, any text)."""

    def __init__(self, key: str) -> None:
        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO)
        self._cipher = AESGCM(derivation.derive(key.encode()))

    def __repr__(self) -> str:
        return "SecretBox(…)"

    def seal(self, text: str) -> str:
        """`text` as `enc:…`; twice the same text gives two different seals."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, lossless_bytes(text), _VERSION)
        return SEALED + base64.urlsafe_b64encode(_VERSION + nonce + sealed).decode()

    def open(self, sealed: str) -> str:
        """What was sealed. Raises SecretUnreadable for another key's, a changed or a foreign value."""
        try:
            raw = base64.b64decode(sealed.removeprefix(SEALED), altchars=b"-_", validate=True)
        except ValueError:
            raise SecretUnreadable("a stored secret is damaged: it is no base64") from None
        if not sealed.startswith(SEALED) or raw[:1] != _VERSION:
            raise SecretUnreadable("a stored secret is not of a kind that this version opens")
        nonce, body = raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :]
        try:
            return from_lossless_bytes(self._cipher.decrypt(nonce, body, _VERSION))
        except (InvalidTag, ValueError):
            raise SecretUnreadable("a stored secret can't be opened with the present FILAS_SECRET_KEY") from None

    def reveal(self, value: str, environ: Mapping[str, str]) -> str:
        """The secret behind a stored value: of `env:NAME` the variable, `enc:…` opened, else `value` itself.

        Raises SecretUnreadable if the variable is not set or the seal doesn't open.
        """
        if value.startswith(FROM_ENVIRONMENT):
            name = value.removeprefix(FROM_ENVIRONMENT)
            if name not in environ:
                raise SecretUnreadable(f"the environment variable {name}, which a secret names, is not set")
            return environ[name]
        return self.open(value) if value.startswith(SEALED) else value

    def seal_fields(self, config: Mapping[str, Any], secret_fields: Iterable[str]) -> dict[str, Any]:
        """A copy of `config` in which the text under `secret_fields`, also in lists there, is sealed.

        What is `env:…` or `enc:…` already stays as it is; so does a value that is not text.
        """
        secret = frozenset(secret_fields)
        return {name: self._seal_value(value) if name in secret else value for name, value in config.items()}

    def _seal_value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._seal_value(item) for item in value]
        if not isinstance(value, str) or value.startswith((FROM_ENVIRONMENT, SEALED)):
            return value
        return self.seal(value)
