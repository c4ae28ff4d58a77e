"""The Lua scripts, read from their files once."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_BLANKS = tuple(b" " * number for number in range(32))


@dataclass(frozen=True, slots=True)
class Script:
    """A script with the digest under which Redis caches it."""

    name: str
    source: str
    sha: str


def from_source(name: str, source: str) -> Script:
    """The script `source`; a service may bring one of its own."""
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


@cache
def load(name: str, package: str = "filas.queue") -> Script:
    """The script of the file `lua/<name>.lua` in `package`."""
    return from_source(name, files(package).joinpath("lua", f"{name}.lua").read_text("utf-8"))


def spread(json: bytes, number: int) -> bytes:
    """`json`, the `number`th of a call's, with up to 31 blanks behind it, which mean nothing.

    Redis hands each argument to Lua as a string; Lua keeps equal strings once, and looks for one by the length and
    some 32 bytes of it. The JSON of a batch's jobs is alike but for an id, so without this most would be found alike
    and compared byte by byte with all the others: a quarter of what such a call took.
    """
    return json + _BLANKS[number & 31]
