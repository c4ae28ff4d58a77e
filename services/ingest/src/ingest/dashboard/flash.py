"""The message that the next page shows once: what an action has done, or why it failed.

It travels in a cookie that only the server reads. It names a text of the catalogue, so a cookie cannot put words of its
own on a page; its parameters are escaped like all other values.
"""

import base64
from typing import Final, Literal

import msgspec
from aiohttp import web

COOKIE: Final = "filas-flash"
_MAX_AGE_S: Final = 60
_MAX_PARAMETER: Final = 300


class Flash(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text of the catalogue with its parameters. `kind` decides how it looks. `undo` is the path of the action that
    takes the change back."""

    message_id: str
    kind: Literal["done", "failed"] = "done"
    parameters: dict[str, str | int] = {}
    undo: str = ""


def put_flash(response: web.StreamResponse, flash: Flash, *, secure: bool) -> None:
    """Gives the message to the next page."""
    given = flash.parameters.items()
    cut = {name: value[:_MAX_PARAMETER] if isinstance(value, str) else value for name, value in given}
    raw = msgspec.json.encode(Flash(flash.message_id, flash.kind, cut, flash.undo))
    text = base64.urlsafe_b64encode(raw).decode()
    response.set_cookie(
        COOKIE, text, max_age=_MAX_AGE_S, path="/dashboard", httponly=True, samesite="Lax", secure=secure
    )


def read_flash(request: web.Request) -> Flash | None:
    """Returns the message of the last action, None if there is none or the cookie is not one of ours."""
    text = request.cookies.get(COOKIE)
    if not text:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text.encode()), type=Flash)
    except (ValueError, msgspec.MsgspecError):
        return None
