"""What the sign-in page shows, and the page without the dashboard's templates."""

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from aiohttp import web

Problem = Literal["", "invalid", "limited", "unavailable", "link", "link-elsewhere"]

STATUS: Final[dict[str, int]] = {
    "": 200,
    "invalid": 401,
    "limited": 429,
    "unavailable": 503,
    "link": 403,
    "link-elsewhere": 403,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInView:
    """What the page shows.

    | field | meaning |
    |---|---|
    | `next` | the page to which the sign-in leads; in a hidden field |
    | `once` | the token of a valid link: the page has a button instead of the field `token` |
    | `who` | whom that link signs in |
    | `problem` | why the last attempt failed; "" if there was none |
    | `wait_s` | of `limited`: the seconds until the next attempt |
    | `is_insecure` | others on the way can read the key: the page shows a warning |
    """

    next: str
    once: str = ""
    who: str = ""
    problem: Problem = ""
    wait_s: int = 0
    is_insecure: bool = False


Render = Callable[[web.Request, SignInView], web.Response]
"""Returns the page. The handler sets its status."""

_PROBLEMS: Final[dict[str, str]] = {
    "invalid": "This is not a valid API key and not the admin token.",
    "limited": "Too many attempts failed. Try again in {wait_s} seconds.",
    "unavailable": "Keys cannot be checked at present, because Postgres is unavailable. The admin token is accepted.",
    "link": "This link was used, or it has expired. `filas dashboard` prints another one.",
    "link-elsewhere": "Such a link is valid only in a browser on the machine on which Filas runs.",
}


def plain_page(_request: web.Request, view: SignInView) -> web.Response:
    """Returns the page without style and script, in English."""
    problem = _PROBLEMS.get(view.problem, "").format(wait_s=view.wait_s)
    warning = "The connection is not encrypted: others on the way can read the key." if view.is_insecure else ""
    notes = "".join(f'<p role="alert">{html.escape(text)}</p>' for text in (problem, warning) if text)
    if view.once:
        once = html.escape(view.once)
        fields = f'<p>Sign in as {html.escape(view.who)}</p><input type="hidden" name="once" value="{once}">'
    else:
        fields = (
            '<label>API key or admin token <input name="token" type="password" required autofocus '
            'autocomplete="current-password"></label> '
        )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in: Filas</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"></head><body><main><h1>Filas</h1>{notes}'
        f'<form method="post" action="/dashboard/sign-in">{fields}'
        f'<input type="hidden" name="next" value="{html.escape(view.next)}"><button>Sign in</button></form>'
        "</main></body></html>"
    )
    return web.Response(text=page, content_type="text/html")
