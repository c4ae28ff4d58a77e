"""Renders the templates of the pages. Every value is escaped; a name that a template does not get is an error."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined, TemplateNotFound
from jinja2.bccache import Bucket

from filas.contract.storable_text import escape_surrogates
from ingest.dashboard.presentation import charts, figures, moments
from ingest.dashboard.presentation.copies import copies
from ingest.dashboard.presentation.payload_text import document_text, shown
from ingest.dashboard.presentation.states import look_of
from ingest.dashboard.presentation.texts import NAMES, Reader
from ingest.dashboard.presentation.time_filters import local_time

_READER_FUNCTIONS: Final[dict[str, Callable[..., str]]] = {
    "number": figures.number,
    "count": figures.count,
    "size": figures.size,
    "duration": figures.duration,
    "absolute": moments.absolute,
    "clock": moments.clock,
    "relative": moments.relative,
    "local_time": local_time,
}


_REFERENCE: Final = re.compile(r'{%-?\s*(?:extends|include|import|from)\s+"([^"]+)"')


class _CompiledOnce(BytecodeCache):
    """Keeps what was compiled in the memory of the process, for every renderer."""

    _code: Final[dict[tuple[str, str], Any]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key, bucket.checksum] = bucket.code


class Renderer:
    """The templates, compiled once. `asset` returns the address of a file of `static` with the hash of its content."""

    def __init__(self, asset: Callable[[str], str], has_asset: Callable[[str], bool]) -> None:
        self._environment = Environment(
            loader=PackageLoader("ingest.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
            bytecode_cache=_CompiledOnce(),
        )
        self._environment.globals |= {
            "asset": asset,
            "has_asset": has_asset,
            "look_of": look_of,
            "iso": moments.iso,
            "from_ms": moments.from_ms,
            "sparkline": charts.sparkline,
            "bars": charts.bars,
            "progress": charts.progress,
            "copies": copies,
            "shown": shown,
            "document_text": document_text,
            "language_names": NAMES,
        }

    def compile_all(self) -> None:
        """Compiles every template, so that no reader of a page waits for it: 0.8 s of CPU once in a process.

        Raises TemplateSyntaxError for a template that is wrong, TemplateNotFound for one that another one names.
        """
        names = self._environment.list_templates()
        for name in names:
            template = self._environment.get_template(name)
            for named in _REFERENCE.findall(Path(template.filename or "").read_text("utf-8")):
                if named not in names:
                    raise TemplateNotFound(named, f"{name} names the template {named}, which does not exist")

    def render(self, template: str, reader: Reader, now: datetime, values: dict[str, Any]) -> str:
        """Returns the text of a template. In it, `t` is the catalogue, and the functions for numbers and times write as
        the reader's language does."""
        bound = {name: partial(function, reader) for name, function in _READER_FUNCTIONS.items()}
        given = {"t": reader.text, "reader": reader, "now": now, **bound, **values}
        # No page can contain a lone surrogate, which a payload or an id may have.
        return escape_surrogates(self._environment.get_template(template).render(given))
