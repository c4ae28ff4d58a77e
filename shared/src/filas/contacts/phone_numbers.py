"""Phone numbers as people and providers write them, and their digits in one form.

Three countries write a mobile number in two ways. Both ways reach the same phone, so they have one form here:

| country   | ways of writing                                | form here                        |
|-----------|------------------------------------------------|----------------------------------|
| Brazil    | 55, area, 8 digits; or the same with 9 before  | with the ninth digit (mobiles)   |
| Mexico    | 52, 10 digits; or 52 1, 10 digits              | without the 1                    |
| Argentina | 54, 10 digits; 54 9, 10 digits; or with 15     | without the 9 and without the 15 |

A landline of Brazil has 8 digits and begins with 2 to 5. It never has a ninth digit.
"""

import re
import unicodedata
from typing import Final

MAX_DIGITS: Final = 15
"""The longest international number (ITU-T E.164)."""

MIN_DIGITS: Final = 5
"""Shorter texts are not taken for numbers. Short codes have five digits or more."""

_SCHEME: Final = re.compile(r"(?:whatsapp|sms|mms|rcs|tel):(?://)?", re.IGNORECASE)
_WHATSAPP_ID: Final = re.compile(r"(\d{5,15})(?:[.:]\d{1,5})*@(?:s\.whatsapp\.net|c\.us)", re.ASCII | re.IGNORECASE)
_PUNCTUATION: Final = str.maketrans("", "", " \t()-./\u2010\u2011\u2012\u2013\u2212")
_DIGITS: Final = re.compile(r"(\+?)([0-9]{5,19})", re.ASCII)

_BRAZIL: Final = re.compile(r"55(0?)([1-9][1-9])(9?)([0-9]{8})", re.ASCII)
_MEXICO: Final = re.compile(r"521([0-9]{10})", re.ASCII)
_ARGENTINE_MOBILE: Final = re.compile(r"(11|[2-9][0-9]{2,3})15([0-9]{6,8})", re.ASCII)
_ARGENTINE_DIGITS: Final = 10


def number_of(text: str) -> str | None:
    """The digits of the phone number in `text`, in the form of this module. None if `text` has anything else in it.

    Blanks, brackets, hyphens, dots, `+`, a leading `00` and a scheme such as `whatsapp:` do not change the number.
    """
    if text.isascii() and text.isdigit() and not text.startswith("00"):
        return _one_form(text) if MIN_DIGITS <= len(text) <= MAX_DIGITS else None
    identity = _WHATSAPP_ID.fullmatch(text)
    if identity is not None:
        return _one_form(identity[1])
    written = _plain(_SCHEME.sub("", text, count=1) if _SCHEME.match(text) else text)
    if written.startswith(("+", "(+", "00")):
        written = written.replace("(0)", "")  # the trunk digit, which is dialled only inside of the country
    found = _DIGITS.fullmatch(written.translate(_PUNCTUATION))
    if found is None:
        return None
    digits = found[2]
    while digits.startswith("00"):
        digits = digits[2:]
    return _one_form(digits) if MIN_DIGITS <= len(digits) <= MAX_DIGITS else None


def is_written_number(text: str) -> bool:
    """Whether `text` can only be a phone number: it has a `+`, blanks or brackets between its digits, or a scheme.

    Digits alone may as well be an id, and a hyphen may be the sign of one.
    """
    if text.isascii() and text.isdigit():
        return False
    if number_of(text) is None:
        return False
    plain = _plain(text)
    return plain.startswith("+") or any(one in plain for one in " ()@") or _SCHEME.match(text) is not None


def _plain(text: str) -> str:
    """`text` with digits, signs and blanks of other scripts as ASCII, and without marks of direction."""
    if text.isascii():
        return text.strip()
    folded = unicodedata.normalize("NFKC", text)
    characters = []
    for one in folded:
        category = unicodedata.category(one)
        if category == "Nd":
            characters.append(str(unicodedata.decimal(one)))
        elif category == "Zs":
            characters.append(" ")
        elif category != "Cf":
            characters.append(one)
    return "".join(characters).strip()


def _one_form(digits: str) -> str:
    if digits.startswith("55"):
        return _brazilian(digits)
    if digits.startswith("52"):
        mexican = _MEXICO.fullmatch(digits)
        return digits if mexican is None else f"52{mexican[1]}"
    if digits.startswith("54"):
        return _argentine(digits)
    return digits


def _brazilian(digits: str) -> str:
    found = _BRAZIL.fullmatch(digits)
    if found is None:
        return digits
    _trunk, area, ninth, number = found.groups()
    is_landline = not ninth and number[0] in "2345"
    return f"55{area}{number}" if is_landline else f"55{area}9{number}"


def _argentine(digits: str) -> str:
    national = digits[2:]
    if national.startswith("9") and len(national) > _ARGENTINE_DIGITS:
        national = national[1:]
    if national.startswith("0") and len(national) > _ARGENTINE_DIGITS:
        national = national[1:]
    if len(national) == _ARGENTINE_DIGITS + 2:
        written = _ARGENTINE_MOBILE.fullmatch(national)
        national = national if written is None else f"{written[1]}{written[2]}"
    return f"54{national}" if len(national) == _ARGENTINE_DIGITS else digits
