"""What the audit stores of a subject or a command: JSON without secrets, bounded in size.

A handler gives the audit what the API shows, where secrets are masked already. In addition, everything is hidden that
has the form of a key of the API, and every text in a field whose name is that of a secret.
"""

from typing import Any, Final

import msgspec

from filas.contract.storable_text import json_bytes
from filas.crypto.api_keys import without_keys
from filas.crypto.redaction import HIDDEN
from ingest.receive.refused_content import is_secret_name

MAX_BYTES: Final = 64 * 1024
"""A larger subject is not stored. Versions of flows, the only large ones, stay readable by their number."""

MASK: Final = "***"
_VARIABLE: Final = "env:"


def audited(value: Any) -> Any:
    """Returns `value` as JSON for the audit."""
    size = len(json_bytes(value))
    if size > MAX_BYTES:
        return {"omitted": "too large", "bytes": size}
    return _hidden(msgspec.to_builtins(value, str_keys=True))


def _hidden(value: Any, *, secret: bool = False) -> Any:
    if isinstance(value, str):
        if secret and value and value != MASK and not value.startswith(_VARIABLE):
            return HIDDEN
        return without_keys(value, HIDDEN)
    if isinstance(value, dict):
        # An object has names of its own: `auth` is not a secret, but some of its fields are.
        return {
            without_keys(name, HIDDEN): _hidden(item, secret=is_secret_name(name) and not isinstance(item, dict))
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_hidden(item, secret=secret) for item in value]
    return value
