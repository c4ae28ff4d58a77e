"""Reading a request's body."""

from ingest.http.request import Request


async def read_body(http: Request, max_bytes: int, timeout_s: float) -> bytes:
    """Returns the whole body. Raises RejectedRequest as `Request.read_body` does."""
    complete = http.complete_body(max_bytes)
    return complete if complete is not None else await http.read_body(max_bytes, timeout_s)
