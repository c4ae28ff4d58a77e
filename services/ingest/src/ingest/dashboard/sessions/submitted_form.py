"""Reads the form that a request has as its body."""

import asyncio
from typing import Final

from aiohttp import web
from multidict import MultiDict, MultiDictProxy

from ingest.forms.urlencoded_form import TooManyFields, read_fields

FORM_TYPE: Final = "application/x-www-form-urlencoded"
MAX_FORM_BYTES: Final = 6 * 2**20
"""A body of one MiB, edited in a form, has up to three times as many bytes when it is percent-encoded."""

LARGE_BYTES: Final = 32 * 1024
"""A longer form is decoded in a thread."""

Form = MultiDictProxy[str]

FORM: Final[web.RequestKey[Form]] = web.RequestKey("filas-form", MultiDictProxy)
"""The key under which a POST has the fields of its form."""


async def read_form(request: web.Request, max_bytes: int = MAX_FORM_BYTES) -> Form:
    """Returns the fields of the form, whatever limit the application has. Raises aiohttp's 413, 415 and 400."""
    if request.content_type != FORM_TYPE:
        raise web.HTTPUnsupportedMediaType(text=f"the body must be {FORM_TYPE}")
    if (request.content_length or 0) > max_bytes:
        raise web.HTTPRequestEntityTooLarge(max_bytes)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            raise web.HTTPRequestEntityTooLarge(max_bytes)
        chunks.append(chunk)
    raw = b"".join(chunks)
    try:
        return await asyncio.to_thread(_decoded, raw) if size > LARGE_BYTES else _decoded(raw)
    except (TooManyFields, UnicodeDecodeError) as error:
        raise web.HTTPBadRequest(text=f"the form cannot be read: {error}") from None


def _decoded(raw: bytes) -> Form:
    return MultiDictProxy(MultiDict((name.decode(), value.decode()) for name, value in read_fields(raw)))
