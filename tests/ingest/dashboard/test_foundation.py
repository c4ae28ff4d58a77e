"""The frame of every page: texts in both languages, preferences, errors, headers, static files."""

import gzip
import re
import string
from importlib import resources

import pytest
from yarl import URL

from filas.messages.catalogue import LANGUAGES, Message
from ingest.dashboard import application, assets
from ingest.dashboard.presentation.states import LOOKS
from ingest.dashboard.presentation.texts import choose_language, page_messages
from ingest.dashboard.sessions.middlewares import CONTENT_SECURITY_POLICY
from tests.ingest.api.serving import Api
from tests.ingest.dashboard.browsing import Browser

PACKAGE = resources.files("ingest.dashboard")


def templates() -> dict[str, str]:
    """The source of every template by its path."""
    found: dict[str, str] = {}

    def walk(folder: resources.abc.Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                walk(entry, f"{prefix}{entry.name}/")
            else:
                found[prefix + entry.name] = entry.read_text(encoding="utf-8")

    walk(PACKAGE.joinpath("templates"), "")
    return found


def parameters(message: Message) -> dict[str, set[tuple[str, str]]]:
    """The parameters of each form of a text, with their formats."""
    forms = message if isinstance(message, dict) else {"": message}
    return {
        form: {(name, spec or "") for _, name, spec, _ in string.Formatter().parse(text) if name is not None}
        for form, text in forms.items()
    }


def test_both_languages_have_the_same_texts_with_the_same_parameters() -> None:
    """A text that one language lacks would be an error on a page."""
    english, portuguese = (page_messages(language) for language in LANGUAGES)
    assert english.keys() ^ portuguese.keys() == set()
    assert {key: parameters(english[key]) for key in english} == {key: parameters(portuguese[key]) for key in english}


def test_every_text_that_a_template_names_exists() -> None:
    """`t("base.copy")`; of `t("states." ~ state)`, the section exists."""
    known = page_messages("en").keys()
    for name, source in templates().items():
        for text_id in re.findall(r"\bt\(\s*\"([a-z0-9.-]+)\"\s*[,)]", source):
            assert text_id in known, f"{name}: {text_id}"
        for section in re.findall(r"\bt\(\s*\"([a-z0-9-]+\.)\"\s*~", source):
            assert any(text_id.startswith(section) for text_id in known), f"{name}: {section}"


def test_every_state_has_a_word() -> None:
    """In both languages, because both have the same texts."""
    assert {state for state in LOOKS if f"states.{state}" not in page_messages("en")} == set()


def test_no_template_switches_escaping_off_or_has_inline_code() -> None:
    """The security policy forbids inline styles and scripts; `safe` would let a payload become part of a page."""
    for name, source in templates().items():
        assert not re.search(r"\|\s*safe\b|autoescape", source), name
        assert not re.search(
            r"\sstyle=|<style|\son[a-z]+=|<script(?! src| type=\"(?:module\" src=|importmap\"|application/json\"))",
            source,
        ), name


@pytest.mark.parametrize(
    ("chosen", "accepted", "expected"),
    [
        (None, "", "en"),
        (None, "pt-BR,pt;q=0.9,en;q=0.8", "pt-BR"),
        (None, "en;q=0.5, pt;q=0.9", "pt-BR"),
        (None, "de, fr;q=0.9", "en"),
        (None, "en-GB,pt", "en"),
        ("pt-BR", "en", "pt-BR"),
        ("xx", "pt", "pt-BR"),
        (None, "pt;q=nonsense,en;q=0.1", "en"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_browsers(chosen: str | None, accepted: str, expected: str) -> None:
    """A cookie that names no language of ours counts as none."""
    assert choose_language(chosen, accepted) == expected


async def test_every_building_block_is_shown_in_both_languages(browser: Browser) -> None:
    """The page has hostile data, which appears as text."""
    for language, title in (("en", "Components"), ("pt-BR", "Componentes")):
        page = await browser.open("/_components", headers={"Accept-Language": language})
        assert f'<html lang="{language}"' in page.html
        assert title in page.text
        assert "<script>alert(1)</script>" in page.text
        assert "9223372036854775807" in page.text


async def test_preferences_are_kept_and_return_to_the_page(browser: Browser) -> None:
    """Theme, language, time zone and shortcuts."""
    page = await browser.open("/_components?q=a")
    chosen = {"theme": "dark", "language": "pt-BR", "zone": "America/Sao_Paulo", "shortcuts": "off"}
    page = await browser.submit(page, "/dashboard/preferences", chosen)
    assert page.url == "/dashboard/_components"
    assert '<html lang="pt-BR" data-theme="dark"' in page.html
    assert 'data-shortcuts="off"' in page.html
    assert " -03</time>" in page.html
    wrong = {"theme": "neon", "language": "xx", "zone": "../etc/passwd"}
    page = await browser.submit(page, "/dashboard/preferences", wrong)
    assert '<html lang="pt-BR" data-theme="dark"' in page.html
    assert " UTC</time>" in page.html


async def test_a_missing_page_and_a_wrong_form_are_pages(browser: Browser) -> None:
    """404 with the frame, 403 without it."""
    missing = await browser.open("/no-such-page", status=404)
    assert "there is no page" in missing.text
    answer = await browser.post("/preferences", {"csrf": "wrong"}, status=403)
    assert "reload the page" in answer.text


async def test_headers_of_pages_and_files(browser: Browser) -> None:
    """Pages are never stored; files may be kept, because their addresses change with their content."""
    page = await browser.open("/_components")
    assert page.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    file = await browser.open(assets.address_of("dashboard.css").removeprefix("/dashboard"))
    assert file.headers["Content-Type"] == "text/css; charset=utf-8"
    assert "immutable" in file.headers["Cache-Control"]
    for name in ("../pages/components.py", "%2e%2e/assets.py", "vendor/%00", "no-such.css", "dashboard.css.py"):
        await browser.open(f"/static/000000000000/{name}", status=404)


def test_the_style_sheet_stays_small() -> None:
    """12 kB, compressed."""
    assert len(gzip.compress(assets.content_of("dashboard.css") or b"")) <= 12_000


def test_only_a_local_run_has_the_page_of_building_blocks() -> None:
    """It is for development, and has made-up data."""
    paths = {page.path for page in application.PAGES}
    local = {page.path for page in application.LOCAL_PAGES}
    assert local == {"/_components", "/_components/form"}
    assert not local & paths


def test_the_scripts_of_every_page_stay_small() -> None:
    """12 kB together with idiomorph, compressed. Without npm, its 4 kB are missing here too."""
    names = ("vendor/idiomorph.js", "live.js", "keyboard.js", "controls.js")
    assert sum(len(gzip.compress(assets.content_of(name) or b"")) for name in names) <= 12_000
    assert len((assets.content_of("live.js") or b"").splitlines()) <= 500


async def test_an_address_like_that_of_an_open_page_is_not_found(api: Api) -> None:
    """No session is needed for files and for the sign-in form. What no route serves there is no error of ours."""
    paths = ("/static/x", "/static/0123456789ab/", "/static/nothash/dashboard.css", "/sign%2Din", "/sign-in")
    for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS"):
        for path in paths:
            url = URL(f"{api.url}/dashboard{path}", encoded=True)
            async with api.session.request(method, url, allow_redirects=False) as answer:
                assert answer.status < 500, f"{method} {path}"
