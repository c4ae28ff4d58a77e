"""The gallery: flows to start from."""

from pathlib import Path

from filas.flows import publishing_checks
from filas.flows.checks.channel_limits import KnownChannels
from ingest.dashboard.gallery.example_flows import ORDER, example_flow
from tests.ingest.api.serving import FLOW, Api
from tests.ingest.dashboard.browsing import MAX_HTML_BYTES, Browser

EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples" / "flows"


def test_the_gallery_has_every_example() -> None:
    """Those of deploy/examples, which are the same files, each without an error."""
    assert sorted(ORDER) == sorted(path.stem for path in EXAMPLES.glob("*.json"))
    for name in ORDER:
        definition, problems = publishing_checks.check(example_flow(name))
        assert definition is not None, problems
    assert example_flow("no-such-example") is None


def test_the_menu_is_suitable_for_whatsapp() -> None:
    """Its choices fit on buttons, and its texts into messages."""
    channels = KnownChannels(types={"whatsapp": "whatsapp"}, conversation=["whatsapp"])
    definition, problems = publishing_checks.check(example_flow("support-menu"), channels=channels)
    assert (definition is not None, problems) == (True, [])


async def test_each_example_has_a_card(api: Api, browser: Browser) -> None:
    """With a picture, and a link to the editor under an id that no flow has."""
    await api.put("/flows/support-menu", FLOW)
    page = await browser.open("/flows/new")
    assert len(page.html) < MAX_HTML_BYTES
    assert page.html.count('class="small-graph"') == len(ORDER)
    assert "/dashboard/flows/support-menu-2/edit?from=support-menu" in page.links
    assert "/dashboard/flows/lead-form/edit?from=lead-form" in page.links
    assert {"/dashboard/flows/new/edit", "/dashboard/flows/import"} <= set(page.links)
    english, portuguese = page.text, ""
    async with browser.session.get(f"{api.url}/dashboard/flows/new", headers={"Accept-Language": "pt-BR"}) as answer:
        portuguese = await answer.text()
    assert ("WhatsApp menu" in english, "Menu de WhatsApp" in portuguese) == (True, True)


async def test_an_example_opens_in_the_editor(browser: Browser) -> None:
    """Also under the id of a new flow. An unknown example is no flow."""
    for path in ("/flows/my-menu/edit?from=support-menu", "/flows/new/edit?from=support-menu"):
        page = await browser.open(path)
        assert "Falar com alguém" in page.html
    await browser.open("/flows/my-menu/edit?from=none", status=404)


async def test_viewers_see_the_gallery(viewer: Browser) -> None:
    """Without its actions."""
    page = await viewer.open("/flows/new")
    assert "your role is viewer" in page.text
    assert not [link for link in page.links if "/edit" in link or link.endswith("/import")]
