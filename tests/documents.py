"""The documents of the repository, and the commands in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

_BLOCK = re.compile(
    r"^(?P<marker><!-- tested[^\n]*-->\n)?(?P<indent> *)```sh\n(?P<body>.*?)^ *```", re.MULTILINE | re.DOTALL
)


def shell_blocks(page: str, *, tested: bool = False) -> list[str]:
    """The bodies of the `sh` blocks of a page (its path below the repository), or only of those marked as tested."""
    text = (ROOT / page).read_text()
    return [match["body"] for match in _BLOCK.finditer(text) if match["marker"] or not tested]


def pages() -> list[Path]:
    """Every Markdown file of ours."""
    skipped = {".git", ".venv", "build", "node_modules", ".filas"}
    return sorted(path for path in ROOT.rglob("*.md") if not skipped & set(path.relative_to(ROOT).parts))
