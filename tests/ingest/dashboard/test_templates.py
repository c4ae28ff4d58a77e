"""The templates of the pages: each can be compiled, and each that is named exists."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, TemplateNotFound, TemplateSyntaxError

import ingest.dashboard
from ingest.dashboard import assets
from ingest.dashboard.presentation.rendering import Renderer

DASHBOARD = Path(ingest.dashboard.__file__).parent
TEMPLATES = DASHBOARD / "templates"


def rendered() -> Iterator[tuple[str, str]]:
    """Each template that code names, with the file that names it."""
    for file in DASHBOARD.rglob("*.py"):
        for found in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(found, ast.Constant) and isinstance(found.value, str) and found.value.endswith(".html"):
                yield found.value, file.name


def test_every_template_that_a_page_names_exists() -> None:
    """So no page fails only when it is opened."""
    named = dict(rendered())
    assert "queues/list.html" in named
    assert {name: file for name, file in named.items() if not (TEMPLATES / name).is_file()} == {}


@pytest.mark.parametrize(
    ("text", "error"), [("{% if %}", TemplateSyntaxError), ('{% extends "gone.html" %}', TemplateNotFound)]
)
def test_a_wrong_template_ends_the_start(text: str, error: type[Exception], tmp_path: Path) -> None:
    """Not only the page that needs it."""
    renderer = Renderer(assets.address_of, assets.is_present)
    renderer.compile_all()
    (tmp_path / "page.html").write_text(text)
    environment: Environment = renderer._environment
    environment.loader = FileSystemLoader(tmp_path)
    with pytest.raises(error):
        renderer.compile_all()
