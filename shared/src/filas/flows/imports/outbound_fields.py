"""Fields of outgoing calls that other products write in other ways."""

import re
from collections.abc import Mapping
from typing import Final

from filas.flows.imports.import_report import BlockReport

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_SECRET_HEADER: Final = re.compile(r"authori[sz]ation|api-?key|token|secret|password", re.IGNORECASE)


def supported_method(written: str, report: BlockReport) -> str:
    """The HTTP method, or POST for one that is not supported."""
    method = written.strip().upper()
    if method in _METHODS:
        return method
    report.add("method-changed", method=written)
    return "POST"


def address(url: str, report: BlockReport) -> str:
    """The address with a scheme; empty if there is none."""
    url = url.strip()
    if not url or url.startswith("{{") or url.lower().startswith(("http://", "https://")):
        return url
    report.add("scheme-added")
    return f"https://{url.lstrip('/')}"


def note_secret_headers(headers: Mapping[str, str], report: BlockReport) -> None:
    """Advises to store what seems to be a secret."""
    for name, value in headers.items():
        if _SECRET_HEADER.search(name) and value and "{{" not in value:
            report.add("move-secret", header=name)
