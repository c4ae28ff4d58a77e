"""The attachments of an e-mail, which are fetched through the outbound guard."""

import asyncio
import mimetypes
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from filas.channels.invalid_content import InvalidContent
from filas.errors import OutboundError, OutboundRefused
from notifier.channels.channel import Outbound, PermanentFailure, TemporaryFailure
from notifier.channels.message_content import invalid_part

MAX_ATTACHMENTS: Final = 10
MAX_BYTES: Final = 8 * 1024 * 1024
"""The most bytes of all attachments of one message together."""

MAX_NAME_CHARS: Final = 200
FETCH_S: Final = 6.0
"""Seconds for all attachments of one message. The rest of the time is for the mail server."""

_AT_ONCE: Final = 2
_BINARY: Final = "application/octet-stream"


class Attachment(msgspec.Struct, frozen=True, rename="camel"):
    """A file that is fetched from `url`. `name` is by default the last part of the address."""

    url: str
    name: str | None = None
    content_type: str | None = None


class Fetched(msgspec.Struct, frozen=True):
    """A fetched file. `content_type` is `type/subtype`."""

    name: str
    content_type: str
    content: bytes


def attachments_of(content: Mapping[str, Any]) -> list[Attachment]:
    """Returns the attachments. Raises InvalidContent."""
    try:
        found = msgspec.convert(content.get("attachments") or [], list[Attachment])
    except msgspec.ValidationError as error:
        raise invalid_part("attachments", error) from None
    if len(found) > MAX_ATTACHMENTS:
        raise InvalidContent(f"{len(found)} attachments; the limit is {MAX_ATTACHMENTS}", "too-long")
    return found


class AttachmentFetcher:
    """Fetches the attachments of one channel, a few at the same time: they are held in memory."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, wanted: list[Attachment]) -> list[Fetched] | TemporaryFailure | PermanentFailure:
        """Returns the files in order, or the failure of the first one that cannot be fetched."""
        fetched: list[Fetched] = []
        left = MAX_BYTES
        try:
            async with asyncio.timeout(FETCH_S), self._slots:
                for index, one in enumerate(wanted):
                    result = await self._one(one, f"attachments[{index}]", left)
                    if not isinstance(result, Fetched):
                        return result
                    fetched.append(result)
                    left -= len(result.content)
        except TimeoutError:
            reason = f"the attachments were not fetched within {FETCH_S:g} s"
            return TemporaryFailure(reason=reason, kind="timeout")
        return fetched

    async def _one(self, wanted: Attachment, field: str, left: int) -> Fetched | TemporaryFailure | PermanentFailure:
        try:
            answer = await self._outbound.request(
                "GET",
                wanted.url,
                headers={"Accept": "*/*"},
                body=b"",
                timeout_s=FETCH_S,
                max_bytes=left + 1,
                follow_redirects=True,
                truncate=True,
            )
        except OutboundRefused as error:
            return PermanentFailure(reason=f"{field}: {error}", kind="refused")
        except OutboundError as error:
            return TemporaryFailure(reason=f"{field}: {error}", kind=error.kind)
        if len(answer.body) > left:
            reason = f"{field}: the attachments are larger than {MAX_BYTES // 1024 // 1024} MiB together"
            return PermanentFailure(reason=reason, kind="too-long")
        if answer.status != 200:
            reason = f"{field}: its address answered {answer.status}"
            if answer.status >= 500 or answer.status in (408, 429):
                return TemporaryFailure(reason=reason, kind="media", status_code=answer.status)
            return PermanentFailure(reason=reason, kind="media", status_code=answer.status)
        name = file_name(wanted)
        declared = (wanted.content_type or answer.headers.get("content-type", "")).partition(";")[0].strip().lower()
        guessed = mimetypes.guess_type(name)[0] or _BINARY
        usable = declared.isascii() and declared.isprintable() and declared.count("/") == 1 and " " not in declared
        return Fetched(name, declared if usable and declared != _BINARY else guessed, answer.body)


def file_name(wanted: Attachment) -> str:
    """Returns the name of the file, without directories and control characters."""
    try:
        path = wanted.name or unquote(urlsplit(wanted.url).path)
    except ValueError:
        path = ""
    name = PurePosixPath(path.replace("\\", "/")).name
    name = "".join(one for one in name if one.isprintable()).strip()
    return name[:MAX_NAME_CHARS] or "attachment"
