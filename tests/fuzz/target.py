"""A fuzz target: a pure function that raises nothing for any bytes, unless Filas has a defect.

Each module of `tests.fuzz.targets` is a target. It has `fuzz(data: bytes) -> None`, a docstring that states what holds
for every input, and these optional names:

| name        | meaning                                                                          |
|-------------|----------------------------------------------------------------------------------|
| `WORDS`     | texts that the fuzzer inserts: field names, keywords, separators                 |
| `MAX_BYTES` | the longest input; 4096 by default                                               |
| `DOCUMENTS` | whether the input is a line and a JSON document, which is then changed as a tree |

Where an input needs a choice, such as the scheme of a signature, its first line names it, so that an input can be read
and written by hand.
"""

import importlib
import pkgutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.fuzz import targets

CORPORA = Path(__file__).parent / "corpora"
MAX_BYTES = 4096

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """A target with its module's optional names."""

    name: str
    fuzz: Callable[[bytes], None]
    words: Sequence[str]
    max_bytes: int
    has_documents: bool

    @property
    def kept(self) -> list[Path]:
        """The files of the kept corpus, in the order of their names."""
        return kept_files(self.name)


def names() -> list[str]:
    """The names of all targets."""
    return sorted(module.name for module in pkgutil.iter_modules(targets.__path__))


def kept_files(name: str) -> list[Path]:
    """The files of a target's kept corpus, without importing the target."""
    return sorted(path for path in (CORPORA / name).iterdir() if path.is_file())


def load(name: str) -> Target:
    """Imports a target, and with it the code that it tests."""
    module = importlib.import_module(f"{targets.__name__}.{name}")
    return Target(
        name=name,
        fuzz=module.fuzz,
        words=getattr(module, "WORDS", ()),
        max_bytes=getattr(module, "MAX_BYTES", MAX_BYTES),
        has_documents=getattr(module, "DOCUMENTS", False),
    )


def first_line(data: bytes) -> tuple[str, bytes]:
    """The first line as text, and the rest."""
    line, _, rest = data.partition(b"\n")
    return text_of(line), rest


def text_of(data: bytes) -> str:
    """The bytes as a header's text: those that are not UTF-8 are lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def unicode_of(data: bytes) -> str:
    """The bytes as a text that may have any character, also a lone surrogate or a NUL, as JSON may."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def chosen(options: Mapping[str, T], name: str) -> T:
    """The option with this name. Any other text chooses one too."""
    found = options.get(name)
    if found is None:
        found = options[sorted(options)[zlib.crc32(name.encode("utf-8", "replace")) % len(options)]]
    return found
