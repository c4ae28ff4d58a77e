"""The pages of refusals: groups, filters, pages of the list, one refused request with what was sent."""

import json
from urllib.parse import urlencode

import pytest

from filas.contract.identity import new_id
from ingest.dashboard.pages.refusals import REASONS
from ingest.dashboard.presentation.texts import page_messages
from tests.ingest.api.serving import Api
from tests.ingest.api.test_refusal_routes import refusal, stored
from tests.ingest.dashboard.browsing import MAX_HTML_BYTES, Browser

HOSTILE = "<script>alert(1)</script>\u202e\"'"


async def test_without_refusals_the_page_states_so(browser: Browser) -> None:
    """In both languages."""
    assert "There is none." in (await browser.open("/refusals")).text
    portuguese = await browser.open("/refusals", headers={"Accept-Language": "pt-BR"})
    assert "Nenhum pedido recusado" in portuguese.text


async def test_groups_lead_to_their_refusals(api: Api, browser: Browser) -> None:
    """A group has its number, and its link shows only its requests."""
    unknown = {"webhook_id": None, "reason": "unknown", "status": 404}
    await stored(
        api,
        *(refusal(number) for number in range(3)),
        *(refusal(number, **unknown, path=f"/webhooks/p{number}") for number in range(2)),
    )
    page = await browser.open("/refusals")
    assert "no webhook has the path" in page.text
    assert page.html.count("<tr data-row") == 2 + 5
    link = next(link for link in page.links if "reason=signature" in link)
    assert "webhookId=shop" in link
    shown = await browser.open(link.removeprefix("/dashboard"))
    assert shown.html.count("<tr data-row") == 1 + 3
    assert "/webhooks/p0" not in shown.text
    assert "filas refusals list --webhook shop --reason signature --status 401" in shown.text


async def test_the_list_has_pages_that_keep_the_filter(api: Api, browser: Browser) -> None:
    await stored(api, *(refusal(number) for number in range(55)), refusal(99, address="203.0.113.9"))
    page = await browser.open("/refusals?address=203.0.113.7")
    first = [link for link in page.links if link.startswith("/dashboard/refusals/")]
    following = next(link for link in page.links if "cursor=" in link)
    assert "address=203.0.113.7" in following
    second = await browser.open(following.removeprefix("/dashboard"))
    rest = [link for link in second.links if link.startswith("/dashboard/refusals/")]
    assert (len(first), len(rest), len({*first, *rest})) == (50, 5, 55)
    assert len(page.html.encode()) <= MAX_HTML_BYTES


async def test_an_empty_result_shows_which_filter_hides_the_others(api: Api, browser: Browser) -> None:
    """With the number of those that match without it, and the link to them."""
    await stored(api, *(refusal(number) for number in range(3)), refusal(status=413, reason="too-large"))
    page = await browser.open("/refusals?reason=too-large&address=203.0.113.7&status=401")
    assert "Nothing matches." in page.text
    assert "3 do without “reason”" in page.text
    assert "1 does without “status”" in page.text
    assert "without “address”" not in page.text
    shown = await browser.open("/refusals?status=401&address=203.0.113.7")
    assert shown.html.count("<tr data-row") == 1 + 3


@pytest.mark.parametrize(
    "query", [{"status": "x"}, {"status": "500"}, {"since": "yesterday"}, {"cursor": "!"}, {"reason": "\x00"}]
)
async def test_a_wrong_filter_is_explained(browser: Browser, query: dict[str, str]) -> None:
    """The page and its form stay."""
    page = await browser.open("/refusals?" + urlencode(query))
    assert "This part cannot be shown" in page.text


async def test_one_refusal_shows_what_was_sent_and_what_to_do(api: Api, browser: Browser) -> None:
    """Hostile text is text, a number keeps its digits, and the body is a download."""
    body = f'{{"text": "{HOSTILE}", "n": 9007199254740993}}'
    headers = {"User-Agent": HOSTILE, "Content-Type": "application/json"}
    [one] = await stored(
        api,
        refusal(
            body=body.encode(), headers=json.dumps(headers), detail=HOSTILE, path=f"/webhooks/{HOSTILE}",
            query_params=json.dumps({"a": ["1", HOSTILE]}),
        ),
    )  # fmt: skip
    page = await browser.open(f"/refusals/{one}")
    assert page.text.count("<script>alert(1)</script>") >= 5
    assert "9007199254740993" in page.text
    assert str(page_messages("en")["refusal-reasons.signature"]) in page.text
    assert f"filas refusals show {one}" in page.text
    answer = await browser.open(f"/refusals/{one}/body")
    assert answer.html == body
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["Content-Type"] == "application/octet-stream"


async def test_a_binary_body_is_shown_in_base64_and_downloaded_as_it_was(api: Api, browser: Browser) -> None:
    [one] = await stored(api, refusal(body=b"\xff\x00\xfe", headers="{}"))
    page = await browser.open(f"/refusals/{one}")
    assert "/wD+" in page.text
    assert "No headers were stored." in page.text
    async with browser.session.get(f"{api.url}/dashboard/refusals/{one}/body") as answer:
        assert await answer.read() == b"\xff\x00\xfe"


async def test_an_unknown_refusal_is_404(browser: Browser) -> None:
    await browser.open(f"/refusals/{new_id()}", status=404)
    await browser.open("/refusals/x", status=404)
    await browser.open(f"/refusals/{new_id()}/body", status=404)


async def test_a_viewer_sees_the_same(api: Api, viewer: Browser) -> None:
    """There is nothing to do."""
    [one] = await stored(api, refusal())
    assert str(one) in (await viewer.open("/refusals")).html
    await viewer.open(f"/refusals/{one}")


def test_every_reason_has_advice() -> None:
    """Except those that are answered 5xx and those of calls, which are not listed."""
    assert {f"refusal-reasons.{reason}" for reason in REASONS} <= page_messages("en").keys()
