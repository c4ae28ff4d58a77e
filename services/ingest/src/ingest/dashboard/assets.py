"""The files of `static`: their addresses contain the hash of their content, so browsers may keep them for ever."""

import asyncio
import gzip
import hashlib
from functools import cache
from importlib import resources
from typing import Final, Literal

import brotli
from aiohttp import web

TYPES: Final = {
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "txt": "text/plain",
}
Coding = Literal["br", "gzip"]
CODINGS: Final[tuple[Coding, ...]] = ("br", "gzip")
"""The compressions, the best first. Browsers accept Brotli over HTTPS and on their own machine."""

_HASH_LENGTH: Final = 12
CACHED: Final = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


@cache
def content_of(name: str) -> bytes | None:
    """Returns the content of a file such as `dashboard.css` or `vendor/icons.svg`, None if there is none."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\x00" in part for part in parts) or len(parts) > 3:
        return None
    file = resources.files("ingest.dashboard").joinpath("static", *parts)
    return file.read_bytes() if file.is_file() else None


@cache
def address_of(name: str) -> str:
    """Returns the address of a file. Files of `vendor` may be missing: see `is_present`."""
    content = content_of(name) or b""
    return f"/dashboard/static/{hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]}/{name}"


def is_present(name: str) -> bool:
    """Whether the file exists. Without npm, set-up continues without the files of `vendor`."""
    return content_of(name) is not None


async def serve_asset(request: web.Request) -> web.Response:
    """Answers a file. The hash in the address is not compared: it makes addresses unique, and protects nothing."""
    name = request.match_info["name"]
    content_type = TYPES.get(name.rpartition(".")[2])
    content = None if content_type is None else content_of(name)
    if content is None:
        raise web.HTTPNotFound
    headers = CACHED | {"Vary": "Accept-Encoding"}
    # Pages are not compressed: their size would reveal parts of the token of their forms.
    accepted = [part.split(";")[0].strip() for part in request.headers.get("Accept-Encoding", "").split(",")]
    for coding in CODINGS:
        if coding in accepted:
            # In a thread: the largest file takes some tenths of a second, once.
            content, headers = await asyncio.to_thread(compressed, name, coding), headers | {"Content-Encoding": coding}
            break
    return web.Response(body=content, content_type=content_type, charset="utf-8", headers=headers)


@cache
def compressed(name: str, coding: Coding) -> bytes:
    """Returns the content of a file, compressed once."""
    content = content_of(name) or b""
    return gzip.compress(content, mtime=0) if coding == "gzip" else bytes(brotli.compress(content))
