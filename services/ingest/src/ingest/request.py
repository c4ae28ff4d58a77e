"""From aiohttp's request to plain data: the body within its bounds, and headers and query as they are stored."""

import asyncio
from collections.abc import Mapping

from aiohttp import web

from filas.errors import FilasError
from ingest.content import collected


class BodyTooLarge(FilasError):
    """The body has more bytes than the webhook takes."""


class BodyTooSlow(FilasError):
    """The body was not there in time."""


class BodyBroken(FilasError):
    """The body ended early, or its transfer encoding is wrong."""


def body_at_hand(request: web.BaseRequest, max_bytes: int) -> bytes | None:
    """The raw body if it has arrived with its headers, as small ones do, and is small enough; else None."""
    stream = request.content
    if not stream.is_eof() or stream.exception() is not None or stream.total_bytes > max_bytes:
        return None
    return stream.read_nowait()


def invite_body(request: web.BaseRequest) -> None:
    """Tell a sender that waits to be told (`Expect: 100-continue`) that it may send its body."""
    expected = request.headers.get("Expect", "").lower() == "100-continue"
    if expected and request.version >= (1, 1) and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def read_body(request: web.BaseRequest, max_bytes: int, timeout_s: float) -> bytes:
    """The raw body, never more than `max_bytes` of it in memory (and a buffer of the connection).

    Raises BodyTooLarge, BodyTooSlow and BodyBroken.
    """
    declared = request.content_length
    if declared is not None and declared > max_bytes:
        raise BodyTooLarge
    try:
        async with asyncio.timeout(timeout_s):
            return await _read_stream(request, max_bytes)
    except TimeoutError:
        raise BodyTooSlow from None
    except (web.RequestPayloadError, ConnectionError, ValueError, asyncio.IncompleteReadError) as error:
        raise BodyBroken(str(error)) from None


async def _read_stream(request: web.BaseRequest, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            raise BodyTooLarge
        chunks.append(chunk)
    return b"".join(chunks)


def storable(text: str) -> str:
    """`text` as it can be stored: what came as bytes that aren't UTF-8 reads as Latin-1, a NUL is replaced."""
    if text.isascii() and "\x00" not in text:
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "surrogateescape" if _is_escaped(text) else "replace").decode("latin-1")
    return text.replace("\x00", "\ufffd")


def _is_escaped(text: str) -> bool:
    return all(not "\ud800" <= character <= "\udfff" or "\udc80" <= character <= "\udcff" for character in text)


def stored_headers(headers: Mapping[str, str], hidden: frozenset[str]) -> dict[str, str]:
    """The headers with lower-case names, a repeated one joined by commas, without those in `hidden`."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in hidden:
            continue
        clean = storable(value)
        found[lower] = f"{found[lower]}, {clean}" if lower in found else clean
    return found


def stored_query(query: Mapping[str, str]) -> dict[str, str | list[str]]:
    """The query parameters; what is given more than once is a list."""
    if not query:
        return {}
    return collected([(storable(name), storable(value)) for name, value in query.items()])
