"""Carries out one call of a route: role, path, query, body, memory and audit. HTTP requests and pages use it alike."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from filas.memory_budget import SMALL_BYTES, NoRoom, size_in_memory
from ingest.access.authentication import Client
from ingest.access.call_audit import CallAudit, subject_of
from ingest.api.routing.access import problem_of, require
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.problems import ApiProblem, FieldError
from ingest.api.routing.request_parsing import LARGE_BODY, parse_body, parse_query
from ingest.api.routing.route_types import Answer, Call, Route

ANSWER_BYTES: Final = 16 * 2**20
"""The memory of an answer with bodies. A page has about 1 MiB, and several times as much as Python objects."""

BODY_COPIES: Final = 4
MEMORY_WAIT_S: Final = 5.0
"""How long a call waits for memory before it is answered with 503."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and from which address."""

    client: Client
    address: str


@dataclass(frozen=True, slots=True)
class Given:
    """What is given to a route: the parameters of the path, those of the query, and a function that reads the body."""

    path: Mapping[str, str]
    query: Iterable[tuple[str, str]]
    read_body: Callable[[], Awaitable[bytes]]


async def invoke(
    route: Route[Any, Any], context: ApiContext, caller: Caller, given: Given, present: Callable[[Answer], T]
) -> T:
    """Returns what `present` makes of the answer of the route's handler.

    The bodies count against `context.memory` until then. The body is read only if the route has one, after the other
    checks. Raises the 403 for a role that is too low, the 404, 422 and 400 for what is given, the 503 if there is no
    memory, and what the handler raises.
    """
    require(route.role, caller.client.role)
    if any("\x00" in part for part in given.path.values()):
        raise ApiProblem(404, "Not found", "an id has no NUL")
    query = parse_query(route, given.query)
    raw = None if route.body is None else await given.read_body()

    async def respond() -> T:
        body, errors = (None, []) if raw is None else await _parsed(route, raw)
        subject = subject_of(route.path, dict(given.path))
        audit = CallAudit(context.access.audit, caller.client, caller.address, route.operation_id, subject)
        call = Call(
            context=context, path=given.path, query=query, body=body, client=caller.client, audit=audit,
            address=caller.address, errors=errors,
        )  # fmt: skip
        return present(await _audited(route, call))

    memory = _memory(route, raw)
    if not memory:
        return await respond()
    try:
        async with context.memory.hold(memory, MEMORY_WAIT_S):
            return await respond()
    except NoRoom:
        detail = "too many large requests and answers are being processed"
        raise ApiProblem(503, "Service unavailable", detail, headers={"Retry-After": "1"}) from None


async def _audited(route: Route[Any, Any], call: Call[Any, Any]) -> Answer:
    """Carries out the call. The audit stores it if it may have changed something, also if it ends with an error."""
    if not route.is_audited or getattr(call.body, "dry_run", False):
        return await route.handler(call)
    # Of a command for all objects that match, the request states which ones.
    is_for_many = route.body is not None and "{" not in route.path
    try:
        answer = await route.handler(call)
    except Exception as error:
        if problem_of(error) is None:
            # Without the text of the error, which may contain a secret.
            failure = {"error": type(error).__name__}
            await call.audit.failed({"request": call.body, **failure} if is_for_many else failure)
        raise
    await call.audit.succeeded({"request": call.body, "result": answer.data} if is_for_many else answer.data)
    return answer


async def _parsed(route: Route[Any, Any], raw: bytes) -> tuple[Any, list[FieldError]]:
    if len(raw) > LARGE_BODY:
        return await asyncio.to_thread(parse_body, route, raw)
    return parse_body(route, raw)


def _memory(route: Route[Any, Any], raw: bytes | None) -> int:
    """Returns the bytes of memory that a call may need; 0 if they are few."""
    memory = ANSWER_BYTES if route.answers_bodies else 0
    if raw is not None and len(raw) > SMALL_BYTES:
        memory += size_in_memory(raw) + BODY_COPIES * len(raw)
    return memory
