"""The import map of the editor: the names by which modules import each other, and their addresses with hashes."""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from ingest.dashboard import assets
from ingest.dashboard.sessions.middlewares import CONTENT_SECURITY_POLICY

FOLDER: Final = "editor"
RECORD: Final = "vendor/installed.json"


@dataclass(frozen=True, slots=True)
class ImportMap:
    """The JSON of the page's import map, and the policy of a page that has it."""

    text: str
    policy: str


@cache
def import_map() -> ImportMap:
    """Maps `editor/NAME` to each module of ours, and the names of assets.toml to the installed modules."""
    modules = {f"{FOLDER}/{name}": f"{FOLDER}/{name}.js" for name in _own_modules()}
    modules |= {name: f"vendor/{file}" for name, file in _installed().get("modules", {}).items()}
    addresses = {name: assets.address_of(file) for name, file in modules.items() if assets.is_present(file)}
    text = json.dumps({"imports": addresses}, sort_keys=True, separators=(",", ":"))
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    policy = CONTENT_SECURITY_POLICY.replace("script-src 'self'", f"script-src 'self' 'sha256-{digest}'")
    return ImportMap(text, policy.replace("img-src 'self'", "img-src 'self' data:"))


def _own_modules() -> list[str]:
    folder = resources.files("ingest.dashboard").joinpath("static", FOLDER)
    return sorted(file.name.removesuffix(".js") for file in folder.iterdir() if file.name.endswith(".js"))


def _installed() -> dict[str, Any]:
    content = assets.content_of(RECORD)
    return {} if content is None else json.loads(content)
