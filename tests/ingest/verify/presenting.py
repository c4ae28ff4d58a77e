"""Requests as senders present them."""

import time

from multidict import CIMultiDict, MultiDict

from ingest.verify import auth_types
from ingest.verify.scheme import Presented, Scheme


def presented(
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    method: str = "POST",
    query: dict[str, str] | None = None,
    now: float | None = None,
) -> Presented:
    """A request with aiohttp's kinds of mappings."""
    return Presented(
        method, CIMultiDict(headers or {}), MultiDict(query or {}), body, time.time() if now is None else now
    )


def scheme(**auth: object) -> Scheme:
    """The check of `auth`, its secrets as they stand there."""
    return auth_types.configuration(auth).scheme(lambda secret: secret)
