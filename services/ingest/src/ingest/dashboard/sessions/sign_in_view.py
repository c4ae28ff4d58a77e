"""What the sign-in page shows."""

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
