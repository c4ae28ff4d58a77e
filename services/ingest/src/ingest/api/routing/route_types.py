"""The types of the route table: what a route reads, what it answers, and which role it needs.

One table serves the router, the validation and the OpenAPI document, so the three cannot disagree.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from filas.models.access import Role
from ingest.access.authentication import Client
from ingest.access.call_audit import CallAudit
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.problems import FieldError

Method = Literal["GET", "PUT", "POST", "DELETE"]

Limit = Annotated[int, msgspec.Meta(ge=1, le=500, description="The largest number of items of a page.")]
Cursor = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9_=-]{1,1000}(?!\n)$", description="`nextCursor` of the previous page.")
]
Word = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$", max_length=200)]
"""The text of a filter. No column can hold a NUL."""


class Query(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The query parameters of a route. A subclass adds some."""


class PageQuery(Query, frozen=True, kw_only=True):
    """The query parameters of a list."""

    limit: Limit = 50
    cursor: Cursor | None = None


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The JSON body of a route. A subclass adds fields."""


BodyT = TypeVar("BodyT")
QueryT = TypeVar("QueryT", bound=Query)


@dataclass(frozen=True, slots=True)
class Call(Generic[BodyT, QueryT]):
    """One authorised request of `client`, with its validated body and query. `audit` stores what it changes. `address`
    is the address from which it came. `errors` are those of the body of a route with `placeholders`."""

    context: ApiContext
    path: Mapping[str, str]
    query: QueryT
    body: BodyT
    client: Client
    audit: CallAudit
    address: str = ""
    errors: Sequence[FieldError] = ()


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A table as text/csv: the answer of a route with `csv`."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler returns. `data` is the `data` of the answer; `next_cursor` is the start of a list's next page.

    The status is 200, or 202 if `done` is False: the work continues.
    """

    data: Any
    next_cursor: str | None = None
    done: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[BodyT, QueryT]):
    """One row of the table.

    | field | meaning |
    |---|---|
    | `path` | relative to `/api` |
    | `body` | the type of the body; None if none is read |
    | `documented` | the type in the OpenAPI document instead of `body`, if the handler checks more than `body` does |
    | `precheck` | receives the parsed JSON before it is converted to `body`; raises ApiProblem |
    | `placeholders` | values of required fields: the handler gets a body with wrong fields without them, and `errors` |
    | `decode` | reads the raw body instead of `precheck` and the conversion; raises ApiProblem |
    | `answer` | the type of the answer's `data` |
    | `paged` | adds `nextCursor` to the answer |
    | `may_continue` | the answer may be a 202 |
    | `bare` | the answer is its `data` alone, for tools that expect another shape |
    | `csv` | the answer is a CsvTable if the query asks for it |
    | `large` | the answer may contain bodies, although it is neither a list nor one object |
    | `unaudited` | why a call that is no GET has no entry in the audit |
    | `problems` | the statuses of problems beside those that every route has |
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
    placeholders: Mapping[str, Any] | None = None
    decode: Callable[[bytes], Any] | None = None
    paged: bool = False
    may_continue: bool = False
    bare: bool = False
    csv: bool = False
    large: bool = False
    unaudited: str = ""
    problems: tuple[int, ...] = ()

    @property
    def is_audited(self) -> bool:
        """Whether each call has an entry in the audit: every change has."""
        return self.method != "GET" and not self.unaudited

    @property
    def operation_id(self) -> str:
        """The handler's name in camelCase. Each route has its own handler."""
        first, *rest = self.handler.__name__.split("_")
        return first + "".join(word.capitalize() for word in rest)

    @property
    def answers_bodies(self) -> bool:
        """Whether the answer may contain the bodies of events, jobs or messages."""
        return self.large or (self.method == "GET" and (self.paged or "{id}" in self.path))
