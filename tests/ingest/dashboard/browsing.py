"""A browser without JavaScript: signs in, opens pages, submits forms, and checks every page that it gets."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import aiohttp
from yarl import URL

from tests.ingest.api.serving import TOKEN, Api

MAX_HTML_BYTES = 40_000
"""The size of a page, compressed or not, without payloads (design: 40 kB)."""

DATA = {"application/json", "importmap"}
"""The types of scripts that run nothing: an import map has its hash in the policy."""

VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr", "path", "use", "rect", "circle"}


@dataclass
class Form:
    """A form of a page, with the fields that it has."""

    method: str
    action: str
    fields: dict[str, str]
    text: str = ""


@dataclass
class Page:
    """An answer: the address at which it was found, its status and its HTML."""

    url: str
    status: int
    html: str
    headers: Any
    forms: list[Form] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    text: str = ""

    def form(self, action: str) -> Form:
        """The form with this action; fails if there is not exactly one."""
        found = [form for form in self.forms if unquote(form.action) == unquote(action)]
        assert len(found) == 1, f"{len(found)} forms for {action}: {[form.action for form in self.forms]}"
        return found[0]


class _Reader(HTMLParser):
    """Reads forms, links and text, and refuses what the security policy forbids."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self._words: list[str] = []
        self._open: list[str] = []
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        assert "style" not in given, f"<{tag}> has a style attribute"
        assert not any(name.startswith("on") for name in given), f"<{tag}> has a script attribute: {given}"
        assert tag not in ("style", "iframe", "object", "embed", "base"), tag
        if tag == "script" and given.get("type") not in DATA:
            assert given.get("src", "").startswith("/dashboard/static/"), given
        for name in ("href", "src", "action"):
            assert not given.get(name, "").lower().lstrip().startswith(("javascript:", "data:", "//")), given
        if tag not in VOID:
            self._open.append(tag)
        forms = self.page.forms
        if tag == "form":
            forms.append(Form(given.get("method", "get"), given.get("action", ""), {}))
        elif tag == "input" and "form" in self._open and "name" in given:
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag in ("select", "textarea") and "form" in self._open:
            self._select = given.get("name", "")
            forms[-1].fields[self._select] = ""
        elif tag == "option" and self._select and "form" in self._open and "selected" in given:
            forms[-1].fields[self._select] = given.get("value", "")
        elif tag == "a" and "href" in given:
            self.page.links.append(given["href"])

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open, f"</{tag}> closes nothing"
            assert self._open[-1] == tag, f"</{tag}> in {self._open}"
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            return
        if "textarea" in self._open and "form" in self._open:
            self.page.forms[-1].fields[self._select] += data
        if "form" in self._open and self.page.forms:
            self.page.forms[-1].text += data
        self._words.append(data)

    def finish(self) -> None:
        """Ends the reading."""
        self.close()
        assert not self._open, f"not closed: {self._open}"
        self.page.text = re.sub(r"\s+", " ", "".join(self._words))


class Browser:
    """A browser of one user. Its cookies are those that the pages set."""

    def __init__(self, api: Api, session: aiohttp.ClientSession) -> None:
        self.api = api
        self.session = session

    async def open(self, path: str, *, status: int = 200, headers: dict[str, str] | None = None) -> Page:
        """Opens a page of the dashboard (`/executions`); fails for another status."""
        return await self._request("GET", "/dashboard" + path, status, headers=headers or {})

    async def submit(self, page: Page, action: str, fields: dict[str, str] | None = None, *, status: int = 200) -> Page:
        """Submits the form of a page with this action, with other values for some fields, and follows the redirect."""
        form = page.form(action)
        assert form.method == "post", form
        # A textarea drops the first line break of its content.
        data = {name: value.removeprefix("\n") for name, value in form.fields.items()} | (fields or {})
        return await self._request("POST", form.action, status, data=data)

    async def post(self, path: str, fields: dict[str, str] | None = None, *, status: int) -> Page:
        """Sends a form that no page has offered, with the token of a page."""
        csrf = next(form.fields["csrf"] for form in (await self.open("/_components")).forms if "csrf" in form.fields)
        return await self._request("POST", "/dashboard" + path, status, data={"csrf": csrf} | (fields or {}))

    async def _request(self, method: str, path: str, status: int, **options: Any) -> Page:
        async with self.session.request(method, urljoin(self.api.url, path), **options) as response:
            html = await response.text()
            page = Page(urlsplit(str(response.url)).path, response.status, html, response.headers)
            assert response.status == status, f"{method} {path}: {response.status} {html[:3000]}"
        if response.content_type == "text/html":
            reader = _Reader(page)
            reader.feed(html)
            reader.finish()
            assert "Content-Security-Policy" in page.headers
            assert 'class="rail"' not in html or "/dashboard/conversations" in page.links, "the navigation is empty"
            is_live = "data-live=" in html or "?at=" in str(response.url)
            assert is_live or " data-region" not in html, "the route of a page with live regions has no Live"
        return page


async def sign_in(api: Api, session: aiohttp.ClientSession, token: str = TOKEN) -> Browser:
    """A signed-in browser. `session` needs a cookie jar of its own."""
    headers = {"Origin": api.url}
    answer = await session.post(
        f"{api.url}/dashboard/sign-in", data={"token": token, "next": "/dashboard/_components"}, headers=headers,
        allow_redirects=False,
    )  # fmt: skip
    assert answer.status == 303, await answer.text()
    # The cookie is Secure, which a browser accepts from its own machine and aiohttp's jar does not send to http.
    for cookie in answer.cookies.values():
        session.cookie_jar.update_cookies({cookie.key: cookie.value}, URL(api.url))
    return Browser(api, session)


@asynccontextmanager
async def signed_in(api: Api, token: str = TOKEN) -> AsyncIterator[Browser]:
    """A signed-in browser with a session of its own."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield await sign_in(api, session, token)
