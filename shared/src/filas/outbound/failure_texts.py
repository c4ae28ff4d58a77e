"""Describes the errors of the HTTP client and of TCP connections in the terms of a flow's author.

No text contains the URL, because the URLs of some providers contain tokens."""

import errno
from collections.abc import Callable
from typing import Any

import aiohttp

_REASONS = {
    errno.ECONNREFUSED: "refused the connection",
    errno.ECONNRESET: "closed the connection",
    errno.EPIPE: "closed the connection",
    errno.ETIMEDOUT: "did not answer",
    errno.EHOSTUNREACH: "cannot be reached",
    errno.ENETUNREACH: "cannot be reached",
}


def describe_no_connection(host: str, port: int, error: OSError) -> str:
    """Why no connection to `host` was made."""
    return f"{host}:{port} {_connecting(error)}"


def _connecting(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, "cannot be reached")


_CODING = "is not valid in its Content-Encoding"

_DESCRIBED: list[tuple[type[aiohttp.ClientError], Callable[[Any], str]]] = [
    (aiohttp.ClientConnectorDNSError, lambda error: f"the host {error.host} is not known"),
    (
        aiohttp.ClientConnectorCertificateError,
        lambda error: f"the certificate of {error.host} was refused: {_reason_of(error.certificate_error)}",
    ),
    (
        aiohttp.ClientConnectorSSLError,
        lambda error: f"no TLS connection with {error.host}:{error.port}: does it answer https on this port?",
    ),
    (
        aiohttp.ClientConnectorError,
        lambda error: f"{error.host}:{error.port} {_connecting(error)}",
    ),
    (
        aiohttp.ClientPayloadError,
        lambda error: f"the response {_CODING if 'content-encoding' in str(error) else 'ended before it was complete'}",
    ),
    (aiohttp.ClientResponseError, lambda _: "the response is not valid HTTP"),
    (aiohttp.ServerTimeoutError, lambda _: "the server did not answer"),
    (aiohttp.ServerConnectionError, lambda _: "the server closed the connection before its response was complete"),
    (aiohttp.ClientOSError, lambda _: "the server closed the connection before its response was complete"),
]
"""In the order in which they are tried: a class comes before its base class."""


def describe_failure(error: aiohttp.ClientError) -> str:
    """What happened to a call that got no complete response."""
    for kind, describe in _DESCRIBED:
        if isinstance(error, kind):
            return describe(error)
    return "the connection failed"


def _reason_of(error: Exception) -> str:
    return getattr(error, "verify_message", "") or "it is not valid"


def describe_url(error: ValueError) -> str:
    """Why a text is not an address."""
    text = str(error).lower()
    if "port" in text:
        return "invalid URL: the port must be a number from 0 to 65535"
    if isinstance(error, UnicodeError) or "netloc" in text or "host" in text or "ipv6" in text:
        return "invalid URL: the host is not a valid name"
    return "invalid URL: an address such as https://example.com/path is expected"
