"""The types of the route table: what a route takes, what it answers, and who may call it.

One table serves the router, the validation and the OpenAPI document, so the three can't disagree.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from ingest.api.routing.api_context import ApiContext

Role = Literal["viewer", "operator", "admin"]
RANK: dict[str, int] = {"viewer": 1, "operator": 2, "admin": 3}
"""A role may do what every role of a lower rank may."""

Method = Literal["GET", "PUT", "POST", "DELETE"]

Limit = Annotated[int, msgspec.Meta(ge=1, le=500, description="How many items a page holds at most.")]
Cursor = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9_=-]{1,1000}$", description="`nextCursor` of the page before.")
]
Word = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$", max_length=200)]
"""Text of a filter. A NUL can't stand in any column, so nothing would match it."""


class Query(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The query parameters of a route: none, unless a subclass says so."""


class PageQuery(Query, frozen=True, kw_only=True):
    """The query parameters of a list."""

    limit: Limit = 50
    cursor: Cursor | None = None


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The JSON body of a route: none, unless a subclass says so."""


BodyT = TypeVar("BodyT")
QueryT = TypeVar("QueryT", bound=Query)


@dataclass(frozen=True, slots=True)
class Call(Generic[BodyT, QueryT]):
    """One authorised request whose body and query have been validated. `address` is its sender's."""

    context: ApiContext
    path: Mapping[str, str]
    query: QueryT
    body: BodyT
    address: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler gives back: `data` as the answer's `data`; a list says where its next page begins. `done` False:
    the work goes on, and the answer is a 202."""

    data: Any
    next_cursor: str | None = None
    done: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[BodyT, QueryT]):
    """One row of the table.

    `path` is relative to `/api`. `body` is None where none is read; `documented` is what the document shows in its
    place where the handler itself checks more than `body` does, to tell every error at once. `precheck` sees the
    parsed JSON before it is converted to `body`, and may refuse it in better words; `decode` reads the raw body in
    place of all that, and raises Refusal. `answer` is the type of the answer's `data`; `paged` adds `nextCursor`.
    `may_go_on`: the answer may be a 202. `bare`: the answer is its data alone, as other tools read it. `refusals` are
    the statuses besides those that every route has.
    """

    method: Method
    path: str
    handler: Callable[[Call[BodyT, QueryT]], Awaitable[Answer]]
    role: Role
    summary: str
    answer: Any
    query: type[QueryT]
    body: Any = None
    documented: Any = None
    precheck: Callable[[Any], None] | None = None
    decode: Callable[[bytes], Any] | None = None
    paged: bool = False
    may_go_on: bool = False
    bare: bool = False
    refusals: tuple[int, ...] = ()

    @property
    def operation_id(self) -> str:
        """The handler's name in camelCase: one handler, one route."""
        first, *rest = self.handler.__name__.split("_")
        return first + "".join(word.capitalize() for word in rest)
