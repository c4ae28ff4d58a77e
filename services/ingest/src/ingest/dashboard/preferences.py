"""What a reader has chosen: theme, language, time zone, keyboard shortcuts. Each is a cookie, read at every request."""

from dataclasses import dataclass
from datetime import UTC
from typing import Final

from aiohttp import web

from filas.messages.catalogue import LANGUAGES
from ingest.dashboard.page_types import PageCall
from ingest.dashboard.presentation.moments import zone_named
from ingest.dashboard.presentation.texts import Reader, choose_language

THEMES: Final = ("auto", "light", "dark")
LANGUAGE_COOKIE: Final = "filas-language"
THEME_COOKIE: Final = "filas-theme"
ZONE_COOKIE: Final = "filas-zone"
"""The zone in which times are shown. A page of a browser without this cookie shows UTC; its script then sets the
browser's zone."""

SHORTCUTS_COOKIE: Final = "filas-shortcuts"
_YEAR_S: Final = 365 * 86400


@dataclass(frozen=True, slots=True)
class Preferences:
    """The choices that a page shows. `theme` is auto, light or dark."""

    reader: Reader
    theme: str
    shortcuts: bool


def read_preferences(request: web.Request) -> Preferences:
    """Returns the choices of the request's cookies; without them, the browser's language and UTC."""
    cookies = request.cookies
    language = choose_language(cookies.get(LANGUAGE_COOKIE), request.headers.get("Accept-Language", ""))
    zone, name = zone_named(cookies.get(ZONE_COOKIE))
    theme = cookies.get(THEME_COOKIE, "auto")
    return Preferences(
        Reader(language, zone, name), theme if theme in THEMES else "auto", cookies.get(SHORTCUTS_COOKIE) != "off"
    )


async def save_preferences(call: PageCall) -> web.StreamResponse:
    """Stores the choices of the form, and returns to the page."""
    answer = web.Response(status=303, headers={"Location": call.return_to})
    form = call.form
    chosen: dict[str, str] = {}
    if form.get("language") in LANGUAGES:
        chosen[LANGUAGE_COOKIE] = form["language"]
    if form.get("theme") in THEMES:
        chosen[THEME_COOKIE] = form["theme"]
    if "zone" in form:
        zone, name = zone_named(form["zone"])
        chosen[ZONE_COOKIE] = "UTC" if zone is UTC else name
    if form.get("shortcuts") in ("on", "off"):
        chosen[SHORTCUTS_COOKIE] = form["shortcuts"]
    for name, value in chosen.items():
        # Scripts read the zone and the shortcuts, so these cookies are not HttpOnly. None of them is secret.
        answer.set_cookie(name, value, max_age=_YEAR_S, path="/dashboard", samesite="Lax")
    return answer
