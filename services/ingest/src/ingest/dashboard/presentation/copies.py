"""What "Copy as curl" and "Copy as `filas`" put on the clipboard. The token is a variable, never the value."""

import shlex
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from filas.contract.storable_text import json_bytes


@dataclass(frozen=True, slots=True)
class Copies:
    """The same call as two commands for a shell."""

    curl: str
    filas: str


def copies(
    filas: str,
    method: str,
    path: str,
    *,
    query: dict[str, str] | None = None,
    body: Any = None,
    arguments: tuple[str, ...] = (),
) -> Copies:
    """Returns the commands of one call of the API.

    `filas` is the command without its arguments (`executions cancel`); `arguments` are quoted. `path` is relative to
    `/api`, with its parameters filled in.
    """
    address = "/api" + quote(path, safe="/-._~") + (f"?{urlencode(query)}" if query else "")
    parts = ["curl", *(() if method == "GET" else ("-X", method)), '"$FILAS_URL"' + shlex.quote(address)]
    parts += ['-H "Authorization: Bearer $FILAS_ADMIN_TOKEN"']
    if body is not None:
        text = json_bytes(body).decode("utf-8", "replace")
        parts += ["-H 'Content-Type: application/json'", "-d", shlex.quote(text)]
    command = " ".join(["filas", filas, *(shlex.quote(argument) for argument in arguments)])
    return Copies(curl=" ".join(parts), filas=command)
