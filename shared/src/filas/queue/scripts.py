"""The Lua scripts, read from their files once."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


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
