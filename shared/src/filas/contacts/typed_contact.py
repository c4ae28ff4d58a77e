"""What a person who searches for a contact may have typed: an address in any form, or the end of a phone number."""

import re
import unicodedata
from typing import Final

from filas.contacts.canonical_address import canonical_address

MEDIA: Final = (None, "whatsapp", "email", "telegram")

MIN_LAST_DIGITS: Final = 7
"""The fewest digits by which a number is found without its country code: a local number without its area."""

_ONLY_NUMBER: Final = re.compile(r"[\d\s()+.\-/]+", re.ASCII)
_BRAZIL_WITHOUT_NINTH: Final = re.compile(r"([1-9]{2})([6-9]\d{7})", re.ASCII)


def possible_aliases(typed: str) -> list[str]:
    """The canonical forms that an address has if it is written like `typed`, for every medium."""
    return sorted({canonical_address(typed, medium) for medium in MEDIA})


def last_digits(typed: str) -> list[str]:
    """The digits with which the canonical form of a number ends if it is `typed` without its country code.

    Empty if `typed` is no number of at least MIN_LAST_DIGITS digits. A Brazilian mobile number may be typed without its
    ninth digit. A leading 0 is dialled inside of a country only.
    """
    plain = unicodedata.normalize("NFKC", typed).replace("\u2010", "-").replace("\u2011", "-").replace("\u2013", "-")
    if not _ONLY_NUMBER.fullmatch(plain):
        return []
    digits = re.sub(r"\D", "", plain).lstrip("0")
    if len(digits) < MIN_LAST_DIGITS:
        return []
    old_form = _BRAZIL_WITHOUT_NINTH.fullmatch(digits)
    return [digits] if old_form is None else [digits, f"{old_form[1]}9{old_form[2]}"]
