"""The fingerprint of an error: failures that have the same cause have the same one, so they can be counted together."""

import hashlib
import re
from typing import Final

from filas.contract.storable_text import to_storable
from filas.models.record import ErrorDetail

MAX_MESSAGE: Final = 1000
"""How many characters of a message count."""

_VARIABLE: Final = (
    (re.compile(r"https?://\S+"), "<url>"),
    (re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]+"), "<address>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|“[^”]*”"), "<text>"),
    (re.compile(r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b"), "<id>"),
    (re.compile(r"[+-]?\(?\d(?:[\d.,:/_() -]*\d)?"), "<number>"),
    (re.compile(r"\s+"), " "),
)
"""What differs from failure to failure, in the order in which it is replaced."""


def normalised(message: str) -> str:
    """`message` without what differs from failure to failure: addresses, ids, quoted texts and numbers."""
    text = message[:MAX_MESSAGE].lower()
    for pattern, word in _VARIABLE:
        text = pattern.sub(word, text)
    return text.strip()


def fingerprint(error: ErrorDetail) -> str:
    """`KIND:NODE:HASH`, such as `http-status:crm:1c9f0a3b`. The node is `-` if the error has none. The hash is the
    beginning of the SHA-256 of the normalised message."""
    digest = hashlib.sha256(normalised(error.message).encode("utf-8", "replace")).hexdigest()[:8]
    kind = error.kind.replace(":", "-") or "-"
    return to_storable(f"{kind}:{error.node_id or '-'}:{digest}")
