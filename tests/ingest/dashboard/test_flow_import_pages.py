"""The import from other products, in pages: the form, the report on each block, the draft and the publication."""

import json

from filas.flows.imports.note_texts import NOTE_TEXTS
from ingest.dashboard.presentation.texts import page_messages
from tests.ingest.api.serving import FLOW, Api
from tests.ingest.dashboard.browsing import Browser, Page
from tests.shared.flows.imports.typebots import fixture, said, typebot

IMPORT = "/dashboard/flows/import"
STORE = "/dashboard/flows/import/store"
HOSTILE = "<script>alert(1)</script>"


async def converted(browser: Browser, document: object, product: str = "typebot") -> Page:
    """The report on a document."""
    page = await browser.open("/flows/import")
    return await browser.submit(page, IMPORT, {"from": product, "document": json.dumps(document)})


async def test_the_report_is_grouped(browser: Browser) -> None:
    """What is left out comes first; each note states what to do."""
    report = await converted(browser, fixture("typebot-v6"))
    positions = [report.text.index(word) for word in ("Left out 10 ", "Changed 2", "Carried over 3")]
    assert positions == sorted(positions)
    assert "There is no node for spreadsheets" in report.text
    assert report.form(STORE).fields["id"] == "loja"


async def test_a_flow_is_opened_as_a_draft(api: Api, browser: Browser) -> None:
    """The editor shows it, and no version is stored."""
    report = await converted(browser, typebot(said(HOSTILE)))
    assert HOSTILE not in report.html
    page = await browser.submit(report, STORE, {"id": "from-typebot", "open": "1"})
    assert page.url == "/dashboard/flows/from-typebot/edit"
    draft = (await api.get("/flows/from-typebot/draft")).data
    assert draft["definition"]["nodes"][1]["data"]["text"] == HOSTILE
    assert (await api.get("/flows/from-typebot")).status == 404


async def test_a_flow_is_published(api: Api, browser: Browser) -> None:
    """What it uses and is not stored is listed, and prevents the publication unless it is forced."""
    email = {"type": "Email", "options": {"recipients": ["a@example.com"], "body": "x"}}
    report = await converted(browser, typebot(said("Oi"), email))
    assert "no channel" in report.text
    refused = await browser.submit(report, STORE, {"id": "mail", "publish": "1"}, status=422)
    assert "no channel" in refused.text
    page = await browser.submit(refused, STORE, {"publish": "1", "force": "1"})
    assert "Version 1 is published" in page.text
    assert (await api.get("/flows/mail")).data["published"] is True


async def test_no_flow_is_replaced(api: Api, browser: Browser) -> None:
    """The suggested id is unused, and one that is used is refused."""
    await api.put("/flows/test", FLOW)
    report = await converted(browser, typebot(said("Oi")))
    assert report.form(STORE).fields["id"] == "test-2"
    refused = await browser.submit(report, STORE, {"id": "test", "publish": "1"}, status=409)
    assert "choose another id" in refused.text
    assert (await api.get("/flows/test")).data["version"] == 1


async def test_a_wrong_document_is_shown_again(browser: Browser) -> None:
    """With the reason, and the product that was chosen."""
    page = await browser.open("/flows/import?from=n8n")
    assert page.form(IMPORT).fields["from"] == "n8n"
    for text, word in (("{", "not JSON"), ("", "document"), ("[]", "document"), ('{"a": 1}', "not a workflow of n8n")):
        refused = await browser.submit(page, IMPORT, {"document": text}, status=400 if text == "{" else 422)
        assert word in refused.text, text
        assert refused.form(IMPORT).fields["from"] == "n8n"
        assert refused.form(IMPORT).fields["document"].strip() == text


async def test_viewers_cannot_import(viewer: Browser) -> None:
    """They see why."""
    page = await viewer.open("/flows/import")
    assert "your role is viewer" in page.text
    assert IMPORT not in [form.action for form in page.forms]
    await viewer.post("/flows/import", {"from": "n8n", "document": "{}"}, status=403)
    await viewer.post("/flows/import/store", {"id": "a", "definition": json.dumps(FLOW), "publish": "1"}, status=403)
    await viewer.post("/flows/import/store", {"id": "a", "definition": json.dumps(FLOW), "open": "1"}, status=403)


def test_every_note_has_a_text_in_both_languages() -> None:
    """The English one is that of the API."""
    english = page_messages("en")
    assert {name for name in english if name.startswith("import-notes.")} == {
        f"import-notes.{one}" for one in NOTE_TEXTS
    }
    for code, (_, text) in NOTE_TEXTS.items():
        assert str(english[f"import-notes.{code}"]) == text


async def test_errors_without_a_node_are_shown(browser: Browser) -> None:
    """An error of the whole flow has no node, and one of the whole document has no field either."""
    for definition, word in (("{}", "nodes: is required"), ("[]", "got `array`")):
        fields = {"id": "from-typebot", "definition": definition, "publish": "1"}
        refused = await browser.post("/flows/import/store", fields, status=422)
        assert word in refused.text
        edited = await browser.post("/flows/new/edit", fields, status=refused.status)
        assert word in edited.text
