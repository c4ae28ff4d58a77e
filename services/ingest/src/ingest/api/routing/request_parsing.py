"""From a request's bytes to the validated body and query of its route."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from msgspec.structs import fields

from ingest.api.routing.problems import FieldError, Refusal, invalid, invalid_field
from ingest.api.routing.route_types import QueryT, Route

MAX_BODY_BYTES = 4 * 1024 * 1024
"""A flow of a thousand nodes has about 1 MB."""

T = TypeVar("T")


async def read_body(request: web.Request) -> bytes:
    """The whole body. Refuses with 413 beyond MAX_BODY_BYTES, whatever the application's own limit is."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise Refusal(413, "Too large", f"a body may have {MAX_BODY_BYTES} bytes at most")
        chunks.append(chunk)
    return b"".join(chunks)


def parse_body(route: Route[Any, Any], raw: bytes) -> Any:
    """The body as the route's type says: 400 for what is no JSON, 422 naming the field for the rest.

    An absent body counts as `{}`.
    """
    if route.decode is not None:
        return route.decode(raw)
    try:
        document = decoded(raw, Any)
    except msgspec.ValidationError as error:  # a number that no machine type holds
        raise invalid_field("", str(error)) from None
    if route.precheck is not None:
        route.precheck(document)
    return _convert(document, route.body, strict=True)


def decoded(raw: bytes, expected: type[T]) -> T:
    """The JSON of a body (an absent one: `{}`): 400 for what is none. Raises msgspec.ValidationError."""
    try:
        return msgspec.json.decode(raw if raw.strip() else b"{}", type=expected)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, "Malformed JSON", f"the body is not JSON: {error}") from None


def parse_query(route: Route[Any, QueryT], pairs: Iterable[tuple[str, str]]) -> QueryT:
    """The query parameters as the route's type says, else 422 naming the parameter."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise invalid_field(name, "given more than once")
        found[name] = value
    query: QueryT = _convert(found, route.query, strict=False)
    for field in fields(query):
        value = getattr(query, field.name)
        if isinstance(value, datetime):
            _check_time(field.encode_name, found[field.encode_name], value)
    return query


def _check_time(name: str, text: str, time: datetime) -> None:
    """Refuses a bare number, which msgspec takes for seconds since 1970, and a time that UTC has no date for."""
    if ":" not in text:
        raise invalid_field(name, "Invalid RFC3339 encoded datetime")
    try:
        time.astimezone(UTC)
    except OverflowError:
        raise invalid_field(name, "in UTC it is outside of the years 1 to 9999") from None


def _convert(document: Any, expected: Any, *, strict: bool) -> Any:
    try:
        return msgspec.convert(document, expected, strict=strict)
    except msgspec.ValidationError as error:
        raise invalid([field_error(str(error))]) from None


def field_error(message: str) -> FieldError:
    """msgspec's words (`Expected `int`, got `str` - at `$.rateLimit.max``) as field and message."""
    text, _, place = message.partition(" - at `")
    field = place.rstrip("`").removeprefix("$").removeprefix(".")
    for opening in ("Object missing required field `", "Object contains unknown field `"):
        if text.startswith(opening):
            name = text.removeprefix(opening).rstrip("`")
            field = f"{field}.{name}" if field else name
    return FieldError(field=field, message=text)
