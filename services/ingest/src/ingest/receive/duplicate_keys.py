"""Duplicate keys: two requests to a webhook with the same key are the same event."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import jmespath
import msgspec

from filas.contract.storable_text import is_storable, lossless_bytes
from filas.models.configuration import Dedupe
from ingest.verify.scheme import ReceivedRequest

KeyOf = Callable[[ReceivedRequest, Any], str | None]
"""Returns the duplicate key of a request and its decoded body; None if the request has no key."""

MAX_KEY = 255


def configured(dedupe: Dedupe) -> KeyOf:
    """Returns the function that computes the key by a webhook's `dedupe`. Raises ValueError for an invalid JMESPath."""
    if dedupe.header is not None:
        name = dedupe.header
        return lambda received_request, _document: received_request.headers.get(name) or None
    if dedupe.path is not None:
        return _by_path(dedupe.path)
    if dedupe.body:
        return lambda received_request, _document: f"sha256:{hashlib.sha256(received_request.body).hexdigest()}"
    return lambda _received_request, _document: None


def bounded(key: str) -> str:
    """Returns `key` as it is stored: hashed if it is too long for an index, or is not text for Postgres."""
    if len(key) <= MAX_KEY and is_storable(key):
        return key
    return f"sha256:{hashlib.sha256(lossless_bytes(key)).hexdigest()}"


def _by_path(path: str) -> KeyOf:
    # A type error within a search, or deep nesting, comes from the request's body: the request has no key then.
    errors = (jmespath.exceptions.JMESPathError, RecursionError, TypeError, ValueError, ArithmeticError)
    expression = jmespath.compile(path)

    def key(_received_request: ReceivedRequest, document: Any) -> str | None:
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
