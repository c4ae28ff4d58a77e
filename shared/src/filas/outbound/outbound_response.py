"""The response to an outbound call. Domains import it without the HTTP client."""

import msgspec


class OutboundResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response of any status. `headers` have lower-case names. `url` is the URL after redirects.

    `truncated`: the body had more than `max_bytes` bytes, and the caller accepts its beginning.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    url: str
    truncated: bool = False
