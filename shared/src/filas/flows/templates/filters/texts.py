"""The filters of texts that Filas adds: patterns, hashes, JSON, and the parts of a text that people type."""

import functools
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable
from typing import Any, Final

from filas.contacts.phone_numbers import number_of
from filas.contract import bounded_json
from filas.decoding.json_body import decode_json
from filas.flows import regular_expressions, step_budget
from filas.flows.templates.filters.filter_failure import FilterFailure, expected, locale_argument
from filas.flows.templates.liquid_filters import OverLimit, text_of
from filas.flows.value_limits import TooLarge, plain

_CHARACTERS_A_STEP: Final = 16
"""Characters that are examined one by one in the time of a step."""

_NATIONAL: Final[dict[str, tuple[str, tuple[int, ...]]]] = {
    "AR": ("54", (10, 11)), "BO": ("591", (8,)), "BR": ("55", (10, 11)), "CA": ("1", (10,)), "CL": ("56", (9,)),
    "CO": ("57", (10,)), "CR": ("506", (8,)), "DE": ("49", (10, 11)), "EC": ("593", (8, 9)), "ES": ("34", (9,)),
    "FR": ("33", (9,)), "GB": ("44", (10,)), "IT": ("39", (9, 10)), "MX": ("52", (10,)), "PE": ("51", (8, 9)),
    "PT": ("351", (9,)), "PY": ("595", (9,)), "US": ("1", (10,)), "UY": ("598", (8,)), "VE": ("58", (10,)),
}  # fmt: skip
"""By country: the code of its numbers, and how many digits a number has without it."""


def parse_json_of(value: object) -> object:
    """The value of a JSON text, read as the body of a response is. Null and an empty text are null, and what is not a
    text is returned as it is."""
    if not isinstance(value, str):
        return value
    try:
        return plain(decode_json(value.encode(errors="replace"))[0])
    except TooLarge as error:
        raise OverLimit(str(error)) from None
    except bounded_json.InvalidJson:
        raise expected("parse_json", "JSON", value) from None


def regex_match_of(value: object, pattern: object) -> str | None:
    """What the RE2 pattern finds first in the text: its first group if it has one; null if it finds nothing."""
    text = text_of(value)
    found = _with_pattern("regex_match", lambda: regular_expressions.find(_pattern("regex_match", pattern), text))
    return None if found is None else str(found)


def regex_replace_of(value: object, pattern: object, replacement: object = "") -> str:
    """The text with each match of the RE2 pattern replaced. `\\1` in the replacement is the first group."""
    text, new = text_of(value), text_of(replacement)
    made = _with_pattern(
        "regex_replace", lambda: regular_expressions.replace(_pattern("regex_replace", pattern), new, text)
    )
    return str(made)


def sha256_of(value: object) -> str:
    """The SHA-256 of the text, in hexadecimal."""
    return hashlib.sha256(_bytes(value)).hexdigest()


def hmac_sha256_of(value: object, key: object) -> str:
    """The HMAC-SHA-256 of the text with that key, in hexadecimal."""
    if key is None or key == "":
        raise expected("hmac_sha256", "a key", key)
    return hmac.new(_bytes(key), _bytes(value), hashlib.sha256).hexdigest()


def unaccent_of(value: object) -> str:
    """The text without accents: `Olá` becomes `Ola`."""
    text = text_of(value)
    step_budget.charge(len(text) // _CHARACTERS_A_STEP)
    decomposed = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(each for each in decomposed if not unicodedata.combining(each)))


def digits_of(value: object) -> str:
    """The digits of the text, as 0 to 9."""
    text = text_of(value)
    step_budget.charge(len(text) // _CHARACTERS_A_STEP)
    decimals = (unicodedata.decimal(each, None) for each in text)
    return "".join(str(each) for each in decimals if each is not None)


def phone_of(value: object, locale: object = None) -> str | None:
    """The phone number as `+5511900000002`. A number without a country code is of the country of the locale. Null and
    an empty text are null."""
    country = _country(locale)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    text = value.strip() if isinstance(value, str) else text_of(value)
    number = number_of(text)
    if number is None:
        raise expected("phone", "a phone number such as +55 11 90000-0002", value)
    if not text.lstrip("(").startswith(("+", "00")) and ":" not in text and "@" not in text:
        number = _international(text, number, country)
    if number is None:
        raise expected("phone", f"a number with its area or country code ({country} has no such number)", value)
    return f"+{number}"


def check_regex_match(pattern: object = None) -> None:
    """Raises FilterFailure for a wrong argument of `regex_match`."""
    _check_pattern("regex_match", pattern)


def check_regex_replace(pattern: object = None, replacement: object = "") -> None:
    """Raises FilterFailure for a wrong argument of `regex_replace`."""
    _check_pattern("regex_replace", pattern)
    groups = [int(found) for found in re.findall(r"\\([0-9]+)", text_of(replacement))]
    known = regular_expressions.groups(str(pattern))
    if groups and max(groups) > known:
        raise FilterFailure(f"regex_replace: the replacement uses group {max(groups)}, and the pattern has {known}")


def check_hmac_sha256(key: object = None) -> None:
    """Raises FilterFailure for a wrong argument of `hmac_sha256`."""
    hmac_sha256_of("", key)


def check_phone(locale: object = None) -> None:
    """Raises FilterFailure for a wrong argument of `phone`."""
    _country(locale)


def _check_pattern(name: str, pattern: object) -> None:
    problem = regular_expressions.problem(_pattern(name, pattern))
    if problem:
        raise FilterFailure(f"{name}: {problem}")


def _pattern(name: str, pattern: object) -> str:
    if not isinstance(pattern, str) or not pattern:
        raise expected(name, "an RE2 pattern, written as a text", pattern)
    return pattern


def _with_pattern(name: str, work: Callable[[], str | None]) -> str | None:
    try:
        return work()
    except ValueError as error:
        raise FilterFailure(f"{name}: {error}") from None


def _bytes(value: object) -> bytes:
    return text_of(value).encode(errors="replace")


def _country(locale: object) -> str:
    chosen = locale_argument("phone", locale)
    return chosen.territory or _likely_country(chosen.language)


@functools.lru_cache(maxsize=64)
def _likely_country(language: str) -> str:
    """The country of a language that is written without one, such as BR of `pt`."""
    return {"pt": "BR", "es": "ES", "en": "US", "de": "DE", "fr": "FR", "it": "IT"}.get(language, "")


def _international(text: str, number: str, country: str) -> str | None:
    """The digits with a country code; None if they can be no number of the country."""
    code, lengths = _NATIONAL.get(country, ("", ()))
    digits = re.sub("[^0-9]", "", digits_of(text))
    national = digits[1:] if digits.startswith("0") else digits
    if len(national) in lengths:
        return number_of(f"+{code}{national}")
    if code and digits.startswith(code) and len(digits) - len(code) in lengths:
        return number
    return number if not code and len(digits) > 10 else None


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "parse_json": parse_json_of,
    "regex_match": regex_match_of,
    "regex_replace": regex_replace_of,
    "sha256": sha256_of,
    "hmac_sha256": hmac_sha256_of,
    "unaccent": unaccent_of,
    "digits": digits_of,
    "phone": phone_of,
}
