"""The types of the table of pages: what the handler of a page receives, and what it returns."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiMapping

from ingest.access.authentication import Client
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.api_calls import ApiCalls, Part
from ingest.dashboard.flash import Flash
from ingest.dashboard.live.figures import LiveFigures
from ingest.dashboard.live.snapshot import Snapshot
from ingest.dashboard.presentation.rendering import Renderer
from ingest.dashboard.presentation.texts import Reader
from ingest.dashboard.presentation.time_filters import NAMES as TIMES
from ingest.dashboard.presentation.time_filters import with_zone
from ingest.dashboard.sessions import return_path

_REPLACEABLE: Final = frozenset({"live"})
"""What a page may replace of the values that every template receives: whether it is live now."""


@dataclass(frozen=True, slots=True)
class Html:
    """A page, or a part of one."""

    text: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    """Replace those that every page has."""


@dataclass(frozen=True, slots=True)
class Json:
    """Data for a script of a page, which sends `Accept: application/json`. `data` is what JSON can contain."""

    data: Any
    status: int = 200


@dataclass(frozen=True, slots=True)
class Redirect:
    """The browser goes on to `location`, a path of the dashboard. `flash` is shown there once."""

    location: str
    flash: Flash | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """A file. The browser stores it and shows nothing of it."""

    content: bytes
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCall:
    """One request of a signed-in client for a page.

    `path` are the parameters of the path, `query` those of the query, `form` the fields of a POST (`csrf` was checked).
    `url` is the path with its query, as it was requested.
    """

    api: ApiCalls
    reader: Reader
    renderer: Renderer
    path: Mapping[str, str]
    query: MultiMapping[str]
    form: Mapping[str, str]
    url: str
    csrf: str
    request: web.Request
    figures: LiveFigures
    shared: Mapping[str, Any] = field(default_factory=dict)
    """What every template receives, such as the theme."""

    @property
    def client(self) -> Client:
        """Who is signed in."""
        return self.api.client

    @property
    def wants_json(self) -> bool:
        """Whether a script of a page asks, not the browser itself."""
        return "application/json" in self.request.headers.get("Accept", "")

    def render(
        self, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> Html:
        """Returns a page made of a template. It receives `call`, `t`, `now`, what all templates receive, and `values`.

        Raises ValueError for a value that would replace one of those of every template, such as the navigation.
        """
        if replaced := (self.shared.keys() - _REPLACEABLE) & values.keys():
            raise ValueError(f"every template receives {sorted(replaced)[0]!r} already")
        now = datetime.now(UTC)
        text = self.renderer.render(template, self.reader, now, {**self.shared, **values, "call": self})
        return Html(text, status, headers or {})

    def done(
        self,
        message_id: str,
        location: str | None = None,
        *,
        kind: Literal["done", "failed"] = "done",
        undo: str = "",
        **parameters: str | int,
    ) -> Redirect:
        """Returns to a page, which shows a message of the catalogue once. By default to the page of the form.

        `undo` is the path of the action that takes the change back: the message has a button for it.
        """
        return Redirect(location or self.return_to, Flash(message_id, kind, parameters, undo))

    @property
    def return_to(self) -> str:
        """The page on which the form was: its field `return`, or the overview."""
        return return_path.checked(self.form.get("return", ""))

    async def snapshot(self) -> Snapshot:
        """Returns the live figures: of now, or of the moment of the query parameter `at`. Raises the 404 for a moment
        that is not stored, and StoreUnavailable."""
        at = self.query.get("at")
        if not at:
            return await self.figures.now()
        stored = await self.figures.stored(at)
        if stored is None:
            raise ApiProblem(404, "Not found", self.reader.text("live.no-moment"))
        return stored

    def filters(self, *names: str) -> dict[str, str]:
        """Returns the filters of the query string that have a value, for a call of the API. Times without a zone are
        in that of the reader."""
        given = {name: self.query[name] for name in names if self.query.get(name)}
        times = {name: with_zone(self.reader, given[name]) for name in TIMES if name in given}
        return given | times

    def with_query(self, **changes: str | None) -> str:
        """Returns the address of this page with other filters; None removes one. The place in the list is forgotten."""
        query = {name: value for name, value in self.query.items() if name != "cursor"}
        for name, value in changes.items():
            query.pop(name, None)
            if value is not None:
                query[name] = value
        path = self.url.partition("?")[0]
        return f"{path}?{urlencode(query)}" if query else path


PageAnswer = Html | Json | Redirect | Download | web.StreamResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """How a page is kept up to date: what its template has put into the macro `live` is rendered again.

    `every_s` is how often. `reads_stores`: the handler calls the API; without it, the page shows the snapshot alone.
    `has_moments`: the handler shows the snapshot of the query parameter `at`.
    """

    every_s: float = 2.0
    reads_stores: bool = True
    has_moments: bool = False


@dataclass(frozen=True, slots=True)
class PageRoute:
    """One page or action. `path` is relative to `/dashboard`. A GET shows, a POST acts and leads to a page.

    The calls of the API that a handler makes check the role.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[[PageCall], Awaitable[PageAnswer]]
    live: Live | None = None


__all__ = ["ApiCalls", "Download", "Html", "Json", "Live", "PageAnswer", "PageCall", "PageRoute", "Part", "Redirect"]
