"""Urlencoded forms (the URL Standard, "application/x-www-form-urlencoded parsing"), with a bound on their fields."""

from typing import Final

from filas.errors import FilasError
from ingest.forms.percent_encoding import unquoted

MAX_FIELDS: Final = 1000


class TooManyFields(FilasError):
    """A form has more than MAX_FIELDS fields."""


def read_fields(body: bytes) -> list[tuple[bytes, bytes]]:
    """Returns the names and values in their order, decoded to bytes. A field without `=` has an empty value.

    Raises TooManyFields; empty fields count too. The cost is linear in the size of the body.
    """
    if body.count(b"&") >= MAX_FIELDS:
        raise TooManyFields(f"form has more than {MAX_FIELDS} fields")
    found: list[tuple[bytes, bytes]] = []
    for field in body.split(b"&"):
        if field:
            name, _, value = field.replace(b"+", b" ").partition(b"=")
            found.append((unquoted(name), unquoted(value)))
    return found
