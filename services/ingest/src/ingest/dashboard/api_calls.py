"""Calls a route of the API in the process: with the same check of the role, validation, memory limit and audit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from filas.contract.storable_text import json_bytes
from filas.errors import StoreUnavailable
from filas.models.access import RANK
from ingest.access.authentication import Client
from ingest.api.routes import ROUTES
from ingest.api.routing.access import problem_of, require
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.invocation import Caller, Given, invoke
from ingest.api.routing.problems import ApiProblem
from ingest.api.routing.route_types import Answer, Route

BY_OPERATION: Final[Mapping[str, Route[Any, Any]]] = {route.operation_id: route for route in ROUTES}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page: the answer of a call, or the problem because of which the page lacks it."""

    data: Any = None
    next_cursor: str | None = None
    problem: ApiProblem | None = None

    @property
    def ok(self) -> bool:
        """Whether there is an answer."""
        return self.problem is None


@dataclass(frozen=True, slots=True)
class ApiCalls:
    """The calls of one signed-in client, which uses the dashboard from `address`."""

    context: ApiContext
    client: Client
    address: str

    def may(self, operation: str) -> bool:
        """Whether the client's role is enough for an operation (`cancelExecution`)."""
        return RANK[self.client.role] >= RANK[BY_OPERATION[operation].role]

    def require(self, operation: str) -> None:
        """Raises the 403 if the client's role is not enough for an operation."""
        require(BY_OPERATION[operation].role, self.client.role)

    async def call(
        self,
        operation: str,
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        body: Any = None,
    ) -> Answer:
        """Returns the answer of an operation.

        `query` has the names of the wire (`flowId`); None and empty values are left out. `body` is raw JSON (bytes), or
        a value. Raises ApiProblem for everything that the API answers with a problem, StoreUnavailable, and what else
        the handler raises.
        """
        route = BY_OPERATION[operation]
        pairs = [(name, _text(value)) for name, value in (query or {}).items() if value is not None and value != ""]
        raw = body if isinstance(body, bytes) else b"" if body is None else json_bytes(body)

        async def read() -> bytes:
            return raw

        try:
            given = Given(dict(path or {}), pairs, read)
            return await invoke(route, self.context, Caller(self.client, self.address), given, _same)
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            raise problem from error

    async def exists(self, operation: str, identifier: str) -> bool:
        """Whether the operation, a GET, finds what has this id. Raises every other problem than the 404."""
        try:
            await self.call(operation, path={"id": identifier})
        except ApiProblem as problem:
            if problem.status != 404:
                raise
            return False
        return True

    async def part(
        self, operation: str, *, path: Mapping[str, str] | None = None, query: Mapping[str, object] | None = None
    ) -> Part:
        """Returns the answer of an operation as a part of a page. A part without an answer fails alone."""
        try:
            answer = await self.call(operation, path=path, query=query)
        except ApiProblem as problem:
            return Part(problem=problem)
        except StoreUnavailable as error:
            return Part(problem=ApiProblem(503, "Store unavailable", error.reason, store=error.store))
        return Part(answer.data, answer.next_cursor)


def _same(answer: Answer) -> Answer:
    return answer


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    built = msgspec.to_builtins(value)
    return ("true" if built else "false") if isinstance(built, bool) else str(built)
