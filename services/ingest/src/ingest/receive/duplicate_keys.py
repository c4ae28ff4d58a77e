"""Duplicate keys: what makes two requests to a webhook the same."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import jmespath
import msgspec

from filas.contract.storable_text import is_storable, lossless_bytes
from filas.models.configuration import Dedupe
from ingest.verify.scheme import Presented

KeyOf = Callable[[Presented, Any], str | None]
"""The duplicate key of a request and its decoded body; None: it is like no other."""

MAX_KEY = 255


def configured(dedupe: Dedupe) -> KeyOf:
    """The key that a webhook's `dedupe` names. Raises ValueError for a JMESPath that doesn't parse."""
    if dedupe.header is not None:
        name = dedupe.header
        return lambda presented, _document: presented.headers.get(name) or None
    if dedupe.path is not None:
        return _by_path(dedupe.path)
    if dedupe.body:
        return lambda presented, _document: f"sha256:{hashlib.sha256(presented.body).hexdigest()}"
    return lambda _presented, _document: None


def bounded(key: str) -> str:
    """`key` as it is stored: hashed if it is too long for an index, or nothing that Postgres takes as text."""
    if len(key) <= MAX_KEY and is_storable(key):
        return key
    return f"sha256:{hashlib.sha256(lossless_bytes(key)).hexdigest()}"


def _by_path(path: str) -> KeyOf:
    # A type error within a search, or nesting without end, is the request's: it has no key then.
    errors = (jmespath.exceptions.JMESPathError, RecursionError, TypeError, ValueError, ArithmeticError)
    expression = jmespath.compile(path)

    def key(_presented: Presented, document: Any) -> str | None:
        try:
            found = expression.search(document)
        except errors:
            return None
        return _as_key(found)

    return key


def _as_key(found: Any) -> str | None:
    if found is None or found == "":
        return None
    return found if isinstance(found, str) else _encoder().encode(found).decode()


@functools.cache
def _encoder() -> msgspec.json.Encoder:
    return msgspec.json.Encoder(order="sorted")
