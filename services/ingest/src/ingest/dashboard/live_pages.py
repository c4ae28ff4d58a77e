"""Pages as live feeds: the page is rendered again, and the content of its live regions is sent.

A region is what a template puts into the macro `live`. So a page states once what it shows, and its handler runs as it
does for a request; only the frame of the page is left out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import web
from multidict import MultiDict
from yarl import URL

from filas.errors import StoreUnavailable
from ingest.access.authentication import Client
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.api_calls import ApiCalls, Part
from ingest.dashboard.live.figures import LiveFigures
from ingest.dashboard.live.hub import LiveFeed, LiveHub
from ingest.dashboard.live.snapshot import Snapshot
from ingest.dashboard.live.stream import stream
from ingest.dashboard.page_types import Html, Live, PageAnswer, PageCall, PageRoute
from ingest.dashboard.sessions import return_path
from ingest.dashboard.sessions.middlewares import HEADERS
from ingest.dashboard.sessions.signed_in import SIGNED_IN, Sessions

ROOT: Final = "/dashboard"
_REGION: Final = re.compile(r"<!--live ([a-z0-9-]+)-->(.*?)<!--end \1-->", re.DOTALL)


class _LiveCalls(ApiCalls):
    """The calls of a page that is rendered for a stream. A part that a store does not answer makes the whole page out
    of date: its readers keep what they see."""

    async def part(
        self, operation: str, *, path: Mapping[str, str] | None = None, query: Mapping[str, object] | None = None
    ) -> Part:
        part = await ApiCalls.part(self, operation, path=path, query=query)
        if part.problem is not None and part.problem.status == web.HTTPServiceUnavailable.status_code:
            raise StoreUnavailable(part.problem.extra.get("store", "postgres"), part.problem.detail)
        return part


@dataclass(frozen=True, slots=True)
class _Found:
    route: PageRoute
    live: Live
    path: Mapping[str, str]


class LivePages:
    """The pages of the table that are live."""

    def __init__(self, pages: Sequence[PageRoute], hub: LiveHub, figures: LiveFigures, sessions: Sessions) -> None:
        self._patterns = [(_pattern(page.path), page, page.live) for page in pages if page.live is not None]
        self._hub = hub
        self._figures = figures
        self._sessions = sessions

    async def serve(self, call: PageCall) -> PageAnswer:
        """Streams the page of the query parameter `page`, which was rendered at `since` (Unix ms).

        Raises the 404 for a page that is not live.
        """
        url = return_path.checked(call.query.get("page", ""))
        found = self._find(url.partition("?")[0])
        if found is None:
            raise ApiProblem(404, "Not found", "this page is not live")
        signed_in = call.request[SIGNED_IN]
        role = signed_in.client.role

        def is_allowed() -> bool:
            try:
                client = self._sessions.client_of(signed_in.session)
            except StoreUnavailable:
                return True  # the keys have not been read yet
            return client is not None and client.role == role

        feed = LiveFeed(
            key=(url, call.reader.language, call.reader.zone_name, role),
            render=_renderer(found, call, url),
            every_s=found.live.every_s,
            reads_stores=found.live.reads_stores,
        )
        return await stream(
            call.request,
            self._hub,
            feed,
            owner=str(signed_in.session.id),
            since=_moment(call.query.get("since", "")),
            is_allowed=is_allowed,
            headers=HEADERS,
        )

    async def check(self, _request: web.Request) -> web.Response:
        """Answers the script of a page that asks whether its session is still valid; the middleware renews it."""
        return web.Response(status=204)

    async def freeze(self, call: PageCall) -> PageAnswer:
        """Stores the figures that the page showed, and leads to the page that shows them. A script gets the moment."""
        at = await self._figures.freeze(call.form.get("at", ""))
        if "application/json" in call.request.headers.get("Accept", ""):
            return web.json_response({"at": at})
        target = URL(call.return_to, encoded=True)
        return web.Response(status=303, headers={"Location": str(target.update_query(at=str(at)))})

    def _find(self, path: str) -> _Found | None:
        for pattern, route, live in self._patterns:
            matched = pattern.fullmatch(path)
            if matched is not None:
                return _Found(route, live, {name: unquote(value) for name, value in matched.groupdict().items()})
        return None


def regions_of(html: str) -> dict[str, str]:
    """Returns the content of each live region of a page, by the id of its element."""
    return {found[1]: found[2] for found in _REGION.finditer(html)}


def _renderer(found: _Found, call: PageCall, url: str) -> Any:
    """Returns the function that renders the regions of a page as each viewer with this role and language sees them.

    The fields of forms have no token: the script of the page puts its own there.
    """
    shown = replace(
        call,
        api=_LiveCalls(call.api.context, Client("live", call.client.role), call.api.address),
        path=found.path,
        query=MultiDict(URL(url, encoded=True).query),
        form={},
        url=url,
        csrf="",
        shared={**call.shared, "flash": None},
    )

    async def render(_snapshot: Snapshot) -> Mapping[str, str]:
        try:
            answer = await found.route.handler(shown)
        except ApiProblem as problem:
            if problem.status == web.HTTPServiceUnavailable.status_code:
                raise StoreUnavailable(problem.extra.get("store", "postgres"), problem.detail) from problem
            return {}  # what the page shows is gone: its readers keep what they see
        return regions_of(answer.text) if isinstance(answer, Html) else {}

    return render


def _moment(text: str) -> int:
    """Returns Unix ms; 0 for any other text."""
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else 0


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"({\w+})", path)
    return re.compile(ROOT + "".join(f"(?P<{one[1:-1]}>[^/]+)" if one[:1] == "{" else re.escape(one) for one in parts))
