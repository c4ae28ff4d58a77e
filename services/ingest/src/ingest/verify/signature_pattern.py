"""How signatures are written in a value: `sha256={signature}`, `ts={timestamp},v1={signature}`."""

import re
from typing import Final

_PLACEHOLDER: Final = re.compile(r"\{(timestamp|signature)\}")
_SEPARATORS: Final = ",;|& "
MAX_SIGNATURES: Final = 20
"""How many signatures of one value are compared."""


class SignaturePattern:
    """Finds the signatures and the time. Raises ValueError for a pattern that cannot be understood.

    With a time, the elements are separated by the character before the second one. They may have any order if each has
    a name. A value may have several signatures, separated likewise, or by commas or blanks. Other elements are ignored.
    """

    def __init__(self, pattern: str) -> None:
        parts = _PLACEHOLDER.split(pattern)
        names = parts[1::2]
        if sorted(names) not in (["signature"], ["signature", "timestamp"]):
            raise ValueError("`pattern` must contain {signature} once, and {timestamp} at most once")
        if (len(names) == 2 and (not parts[2] or parts[2][0] not in _SEPARATORS)) or parts[-1]:
            raise ValueError(
                "in `pattern`, a comma, a semicolon, a bar, an ampersand or a blank must separate {timestamp} and "
                "{signature}, and nothing may follow the last one"
            )
        self.has_timestamp = "timestamp" in names
        first = parts[0]
        self._separator = re.compile(re.escape(parts[2][0].encode())) if len(names) == 2 else _blanks(first)
        self._elements = [(first.encode(), names[0])]
        if len(names) == 2:
            self._elements.append((parts[2][1:].strip().encode(), names[1]))

    def read(self, written: bytes) -> tuple[bytes | None, list[bytes]]:
        """The time, if there is one, and the signatures, at most MAX_SIGNATURES."""
        timestamp: bytes | None = None
        signatures: list[bytes] = []
        for index, part in enumerate(self._separator.split(written, maxsplit=2 * MAX_SIGNATURES)):
            value = part.strip()
            found = self._element(value, index)
            if found is None:
                continue
            prefix, name = found
            if name == "signature":
                signatures.append(value[len(prefix) :])
            elif timestamp is None:
                timestamp = value[len(prefix) :]
        return timestamp, signatures[:MAX_SIGNATURES]

    def _element(self, value: bytes, index: int) -> tuple[bytes, str] | None:
        for prefix, name in self._elements:
            if prefix and value.startswith(prefix):
                return prefix, name
        prefix, name = self._elements[min(index, len(self._elements) - 1)]
        return None if prefix else (prefix, name)


def _blanks(prefix: str) -> re.Pattern[bytes]:
    return re.compile(rb"\s+" if "," in prefix else rb"[\s,]+")
