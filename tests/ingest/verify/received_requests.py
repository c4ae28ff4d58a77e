"""Requests and checks for the tests of schemes."""

import time

from multidict import CIMultiDict, MultiDict

from ingest.verify import auth_types
from ingest.verify.scheme import ReceivedRequest, Scheme


def received_request(
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    method: str = "POST",
    query: dict[str, str] | None = None,
    now: float | None = None,
) -> ReceivedRequest:
    """Returns a request with the mappings of aiohttp."""
    return ReceivedRequest(
        method, CIMultiDict(headers or {}), MultiDict(query or {}), body, time.time() if now is None else now
    )


def scheme(**auth: object) -> Scheme:
    """Returns the check of `auth`, with its secrets as they are written."""
    return auth_types.configuration(auth).scheme(lambda secret: secret)
