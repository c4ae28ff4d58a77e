"""From the bytes of a request to the validated body and query of its route."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from msgspec.structs import fields

from filas.contract import bounded_json
from ingest.api.routing.body_errors import convertible_fields, errors_of, field_error
from ingest.api.routing.problems import ApiProblem, FieldError, invalid, invalid_field
from ingest.api.routing.route_types import QueryT, Route

MAX_BODY_MIB = 4
MAX_BODY_BYTES = MAX_BODY_MIB * 1024 * 1024
"""A flow of a thousand nodes has about 1 MB."""

LARGE_BODY = 32 * 1024
"""A longer body, in bytes, is decoded in a thread, because that may take more than 5 milliseconds."""

T = TypeVar("T")


async def read_body(request: web.Request) -> bytes:
    """Returns the whole body. Raises the 413 beyond MAX_BODY_BYTES, whatever limit the application has."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise ApiProblem(413, "Content too large", f"body exceeds {MAX_BODY_MIB} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


def parse_body(route: Route[Any, Any], raw: bytes) -> tuple[Any, list[FieldError]]:
    """Returns the body as the type of the route, without errors. A missing body counts as `{}`.

    Of a route with `placeholders`, a body with wrong fields is returned without them, with their errors. Raises the 400
    for a body that is not JSON, and the 422 that names every wrong field otherwise.
    """
    if route.decode is not None:
        return route.decode(raw), []
    try:
        document = decode_json(raw, Any)
    except msgspec.ValidationError as error:  # a number that no machine type holds
        raise invalid_field("", str(error)) from None
    if route.precheck is not None:
        route.precheck(document)
    try:
        return msgspec.convert(document, route.body), []
    except msgspec.ValidationError as error:
        errors = errors_of(document, route.body) or [field_error(str(error))]
    if route.placeholders is None or not isinstance(document, dict):
        raise invalid(errors)
    return route.body(**{**route.placeholders, **convertible_fields(document, route.body)}), errors


def decode_json(raw: bytes, expected: type[T]) -> T:
    """Returns the JSON of a body; a missing body counts as `{}`.

    Raises the 400 for a body that is not JSON, and msgspec.ValidationError for JSON that is not `expected`.
    """
    try:
        bounded_json.check(raw)
        return msgspec.json.decode(raw if raw.strip() else b"{}", type=expected)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, bounded_json.InvalidJson) as error:
        raise ApiProblem(400, "Malformed JSON", f"the body is not JSON: {error}") from None


def parse_query(route: Route[Any, QueryT], pairs: Iterable[tuple[str, str]]) -> QueryT:
    """Returns the query parameters as the type of the route. Raises the 422 that names the parameter."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise invalid_field(name, "given more than once")
        found[name] = value
    try:
        query: QueryT = msgspec.convert(found, route.query, strict=False)
    except msgspec.ValidationError as error:
        raise invalid([field_error(str(error))]) from None
    for field in fields(query):
        value = getattr(query, field.name)
        if isinstance(value, datetime):
            _check_time(field.encode_name, found[field.encode_name], value)
    return query


def _check_time(name: str, text: str, time: datetime) -> None:
    """Raises the 422 for a bare number, which msgspec reads as seconds since 1970, and for a time outside of UTC's
    years."""
    if ":" not in text:
        raise invalid_field(name, "not an RFC 3339 time, such as 2026-11-22T12:00:00Z")
    try:
        time.astimezone(UTC)
    except OverflowError:
        raise invalid_field(name, "in UTC, the time is outside of the years 1 to 9999") from None
