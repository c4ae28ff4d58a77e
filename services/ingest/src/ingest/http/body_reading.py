"""The reading of a request's body, and the refusals that may come of it."""

from ingest.http import error_answers, request
from ingest.http.error_answers import Refusal


async def read_body(http: request.Request, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body. Raises Refusal where it is too large, comes too slowly, or breaks off."""
    at_hand = http.body_at_hand(max_bytes)
    if at_hand is not None:
        return at_hand
    try:
        return await http.read(max_bytes, timeout_s)
    except request.BodyTooLarge:
        raise error_answers.too_large(max_bytes) from None
    except request.BodyTooSlow:
        raise Refusal(408, "too-slow", "the body took too long to arrive", closes=True) from None
    except request.BodyBroken:
        raise Refusal(400, "broken", "the body could not be read to its end", closes=True) from None
