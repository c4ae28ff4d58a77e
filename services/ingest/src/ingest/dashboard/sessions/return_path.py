"""The page to which a sign-in leads back. It comes from the URL, so anyone may have written it: an open redirect would
lead from our sign-in form to a foreign page that looks the same."""

import re
from typing import Final
from urllib.parse import unquote

ROOT: Final = "/dashboard"
SIGN_IN: Final = f"{ROOT}/sign-in"
SIGN_OUT: Final = f"{ROOT}/sign-out"
OVERVIEW: Final = f"{ROOT}/"
MAX_CHARS: Final = 2000

# What a browser sends as path and query: printable ASCII, without what some browsers read as a slash or remove.
_LOCAL: Final = re.compile(r"/dashboard(?:[/?][!$-;=?-Z_a-z~%]*)?")


def checked(path: str) -> str:
    """Returns `path` if it is the path of a page of the dashboard, with or without a query; else that of the overview.

    The pages of the sign-in itself count as foreign, because they would lead back again.
    """
    if len(path) > MAX_CHARS or _LOCAL.fullmatch(path) is None:
        return OVERVIEW
    page = _decoded(path.partition("?")[0])
    parts = page.split("/")
    is_plain = "\\" not in page and page.isprintable() and "//" not in page and not {".", ".."} & set(parts)
    return path if is_plain and page not in (SIGN_IN, SIGN_OUT) else OVERVIEW


def _decoded(path: str) -> str:
    """Decodes percent-encoding, also where it was encoded twice."""
    for _ in range(3):
        path = unquote(path)
    return path
