"""The documents: their links lead somewhere, their translations have the same commands, their pages are linked."""

import json
import re
from pathlib import Path

import pytest

from filas.flows.publishing_checks import check
from tests.documents import ROOT, pages, shell_blocks

PURPOSES = {"Tutorial", "How-to guide", "Reference", "Explanation"}
PAGES = [path.relative_to(ROOT).as_posix() for path in pages()]
OWN_PAGES = [page for page in PAGES if page.startswith("docs/") and not re.match(r"docs/(index|decisions/\d)", page)]


def links(page: str) -> list[str]:
    """The targets of the links of a page, without those in code."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", (ROOT / page).read_text(), flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    """Relative links name files of the repository, and anchors name headings."""
    for link in links(page):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page}: {link}"


@pytest.mark.parametrize("page", OWN_PAGES)
def test_every_page_states_its_purpose(page: str) -> None:
    """The first paragraph of a page begins with what kind of page it is."""
    found = re.search(r"^# .+\n\n\*(.+?)\.\*", (ROOT / page).read_text())
    assert found is not None, page
    assert found[1] in PURPOSES


@pytest.mark.parametrize("page", OWN_PAGES)
def test_every_page_is_reached_from_the_index(page: str) -> None:
    """The index, or a page that the index links, links each page."""
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links("docs/index.md") if "://" not in link}
    assert (ROOT / page).resolve() in linked


@pytest.mark.parametrize("page", PAGES)
def test_every_named_path_exists(page: str) -> None:
    """Paths in backticks that begin with a directory of the repository name files and directories that exist."""
    directories = r"shared/src|services|tests|deploy|docs|\.ci|\.github"
    named = re.findall(rf"`((?:{directories})/[\w./-]+)`", (ROOT / page).read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", OWN_PAGES)
def test_every_flow_in_a_json_block_can_be_published(page: str) -> None:
    """Its JSON is valid, and the publishing checks find no error."""
    blocks = re.findall(r"^```json\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    flows = [json.loads(block) for block in blocks if block.startswith('{"nodes"') or '"schemaVersion"' in block]
    definitions = [flow for flow in flows if "status" not in flow]
    assert [check(definition)[1] for definition in definitions] == [[] for _ in definitions]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 180


TRANSLATIONS = {"README.md": "README.pt-BR.md", "docs/getting-started.md": "docs/pt-BR/getting-started.md"}


@pytest.mark.parametrize(("page", "translation"), TRANSLATIONS.items())
def test_a_translation_has_the_same_commands(page: str, translation: str) -> None:
    """The shell blocks are equal except for their comments."""
    assert commands(translation) == commands(page)


def commands(page: str) -> list[str]:
    """The shell blocks of a page without comments."""
    return [re.sub(r" +# .*", "", block) for block in shell_blocks(page)]


@pytest.mark.parametrize(("page", "translation"), TRANSLATIONS.items())
def test_a_translation_has_the_same_headings(page: str, translation: str) -> None:
    """As many headings of each level, in the same order."""
    levels = [re.findall(r"^(#+) ", (ROOT / name).read_text(), re.MULTILINE) for name in (page, translation)]
    assert levels[0] == levels[1]
