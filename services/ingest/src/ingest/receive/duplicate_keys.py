"""Duplicate keys: two requests to a webhook with the same key are the same event."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from filas.contract.storable_text import is_storable, lossless_bytes
from filas.flows.expressions import jmespath_mapping
from filas.flows.step_budget import TooMuchWork
from filas.models.configuration import Dedupe
from ingest.verify.scheme import ReceivedRequest, Scheme

KeyOf = Callable[[ReceivedRequest, Any], str | None]
"""Returns the duplicate key of a request and its decoded body; None if the request has no key."""

MAX_KEY = 255
DIGEST_BYTES = 16

MAX_STEPS = 20_000
"""How much a JMESPath expression may compute for one request: about 30 milliseconds."""


def configured(dedupe: Dedupe) -> KeyOf:
    """Returns the function that computes the key by a webhook's `dedupe`. Raises ValueError for an invalid JMESPath."""
    if dedupe.header is not None:
        name = dedupe.header
        return lambda received_request, _document: received_request.headers.get(name) or None
    if dedupe.path is not None:
        return _by_path(dedupe.path)
    if dedupe.body:
        return lambda received_request, _document: _hash_of(received_request.body)
    return lambda _received_request, _document: None


def bounded(key: str) -> str:
    """Returns `key` as it is stored: hashed if it is too long for an index, or is not text for Postgres."""
    if len(key) <= MAX_KEY and is_storable(key):
        return key
    return _hash_of(lossless_bytes(key))


def _hash_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def needs_content_key(dedupe: Dedupe | None, scheme: Scheme) -> bool:
    """Whether a request with a valid signature could be repeated under another duplicate key.

    A key in the body is a part of what was signed, if the body is read in one way only.
    """
    return scheme.own_key == "unsigned" or (dedupe is not None and dedupe.header is not None)


def signed_digest(scheme: Scheme, received_request: ReceivedRequest) -> str | None:
    """Returns the digest of what the sender has signed, in hexadecimal; None if the scheme signs no body."""
    signed = scheme.signed_content(received_request)
    return None if signed is None else hashlib.sha256(signed).hexdigest()


def content_digest(content: bytes) -> bytes:
    """Returns the digest by which contents under one duplicate key are compared."""
    return hashlib.sha256(content).digest()[:DIGEST_BYTES]


def _by_path(path: str) -> KeyOf:
    names = jmespath_mapping.plain_path(path)

    def key(received_request: ReceivedRequest, document: Any) -> str | None:
        try:
            found = jmespath_mapping.find(path, document, MAX_STEPS) if names is None else _walk(document, names)
            return _as_key(found)
        except TooMuchWork:
            # The same bytes are still the same event.
            return _hash_of(received_request.body)
        except (ValueError, TypeError, OverflowError, RecursionError):  # the body does not suit the expression
            return None

    return key


def _walk(value: Any, names: list[str | int]) -> Any:
    for name in names:
        if isinstance(name, str):
            value = value.get(name) if isinstance(value, dict) else None
        else:
            is_item = isinstance(value, list) and -len(value) <= name < len(value)
            value = value[name] if is_item else None
    return value


def _as_key(found: Any) -> str | None:
    if found is None or found == "":
        return None
    return found if isinstance(found, str) else _encoder().encode(found).decode()


@functools.cache
def _encoder() -> msgspec.json.Encoder:
    return msgspec.json.Encoder(order="sorted")
