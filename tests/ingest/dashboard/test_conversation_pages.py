"""The pages of conversations: the search, the thread, and the cancel of what waits."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
import pytest

from filas.contract.identity import new_id
from filas.errors import StoreUnavailable
from filas.models.record import ErrorDetail
from tests.ingest.api.serving import Api
from tests.ingest.api.test_conversations import TYPED, answered, conversation, said
from tests.ingest.dashboard.browsing import MAX_HTML_BYTES, Browser
from tests.ingest.dashboard.live.test_live_pages import streaming

HOSTILE = "<script>alert(1)</script>\u202e\"'"
PHONE = "5511987650001"


def search(**query: str) -> str:
    """The address of a search."""
    return "/conversations?" + urlencode(query)


async def test_without_conversations_the_page_states_what_to_do(browser: Browser) -> None:
    """With a command that is ready to use; in both languages."""
    page = await browser.open("/conversations")
    assert "curl http://127.0.0.1:8080/webhooks/demo" in page.text
    portuguese = await browser.open("/conversations", headers={"Accept-Language": "pt-BR"})
    assert "Nenhuma conversa ainda" in portuguese.text


@pytest.mark.parametrize("typed", TYPED.values(), ids=TYPED.keys())
async def test_a_phone_number_is_found_in_any_spelling(api: Api, browser: Browser, typed: str) -> None:
    """The only conversation of the number opens at once."""
    found = await conversation(api, PHONE)
    await conversation(api, "5511900000002")
    assert (await browser.open(search(q=typed))).url == f"/dashboard/conversations/{found}"


async def test_a_contact_with_several_conversations_is_a_list(api: Api, browser: Browser) -> None:
    """And an address of letters is found as an address, in one channel too."""
    for channel in ("slack", "mail"):
        await conversation(api, "U024BE7LH", channel=channel)
    page = await browser.open(search(q="U024BE7LH"))
    assert "The conversations of this contact." in page.text
    assert page.html.count("<tr data-row>") == 2
    assert "filas conversations list --contact U024BE7LH" in page.text
    one = await browser.open(search(q="U024BE7LH", channel="mail"))
    assert one.url.startswith("/dashboard/conversations/")
    none = await browser.open(search(q="U024BE7LH", channel="whatsapp"))
    assert "Search in all channels" in none.text
    assert search(q="U024BE7LH").replace("&", "&amp;") in none.html


async def test_words_find_the_conversation_in_which_they_were_said(api: Api, browser: Browser) -> None:
    first, second = await conversation(api, PHONE), await conversation(api, "5511900000002")
    await said(api, first, "Quero uma consulta na terça")
    await said(api, second, "obrigada")
    page = await browser.open(search(q="TERÇA consulta"))
    assert f"/dashboard/conversations/{first}" in page.links
    assert f"/dashboard/conversations/{second}" not in page.links
    assert "filas conversations list --text 'TERÇA consulta'" in page.text
    assert f"/dashboard/conversations/{second}" in (await browser.open(search(q="obrigada"))).links
    for typed in (HOSTILE, "%", "'; drop table conversations", "0001", "x" * 200):
        page = await browser.open(search(q=typed))
        assert "Nothing matches." in page.text
    assert "last 7 digits" in (await browser.open(search(q="99999-1234"))).text


async def test_the_list_has_pages(api: Api, browser: Browser) -> None:
    for number in range(52):
        await said(api, await conversation(api, f"55119000{number:05}"), "oi", ago_s=number)
    page = await browser.open(search(channel="whatsapp"))
    assert page.html.count("<tr data-row>") == 50
    following = next(link for link in page.links if "cursor=" in link)
    assert "channel=whatsapp" in following
    assert (await browser.open(following.removeprefix("/dashboard"))).html.count("<tr data-row>") == 2
    assert len(page.html.encode()) <= MAX_HTML_BYTES


async def test_a_thread_has_messages_flows_and_waits_in_their_order(api: Api, browser: Browser) -> None:
    """With links to events and executions, and the delivery state of what was sent."""
    one = await conversation(api, PHONE)
    earlier = await said(api, one, "Oi, bom dia!", ago_s=3600)
    await answered(api, earlier, one, "Como posso ajudar?")
    waiting = await said(api, one, f"Cardiologia {HOSTILE}", ago_s=60)
    sent = await answered(api, waiting, one, "Que dia?", status="waiting-input")
    await api.database.fetch("update notifications set status = 'read' where id = $1", sent)
    page = await browser.open(f"/conversations/{one}")
    places = [page.text.index(text) for text in ("Oi, bom dia!", f"Cardiologia {HOSTILE}", "Que dia?")]
    assert places == sorted(places)
    assert "✓✓ read" in page.text
    assert "○ queued" in page.text
    assert "◷ waits for a reply" in page.text
    assert "at the latest in" in page.text
    assert {f"/dashboard/executions/{earlier}", f"/dashboard/executions/{waiting}"} <= set(page.links)
    assert any(link.startswith("/dashboard/events/") for link in page.links)
    assert f"1 execution has not ended; the oldest is {waiting}" in page.text
    assert f"filas conversations show {one}" in page.text


async def requested(api: Api, *executions: UUID) -> set[UUID]:
    """Those of the executions whose cancel is requested."""
    return await api.context.executions.cancel_requested(executions)


async def test_one_wait_is_cancelled(api: Api, browser: Browser) -> None:
    """And the other one still waits."""
    one = await conversation(api, PHONE)
    waiting = [await said(api, one, f"oi {number}", ago_s=number) for number in range(2)]
    for execution in waiting:
        await answered(api, execution, one, "e?", status="waiting-input")
    page = await browser.open(f"/conversations/{one}")
    action = f"/dashboard/conversations/{one}/cancel"
    form = next(form for form in page.forms if form.fields.get("execution") == str(waiting[0]))
    page.forms = [form]
    done = await browser.submit(page, action)
    assert "1 execution is being cancelled." in done.text
    assert done.url == f"/dashboard/conversations/{one}"
    assert await requested(api, *waiting) == {waiting[0]}
    [entry] = (await api.get("/audit?action=cancelExecution")).data
    assert entry["subject"] == f"executions/{waiting[0]}"


async def test_all_that_waits_is_cancelled(api: Api, browser: Browser) -> None:
    """What waits in another conversation is not."""
    one, other = await conversation(api, PHONE), await conversation(api, "5511900000002")
    waiting = [await said(api, one, f"oi {number}", ago_s=number) for number in range(3)]
    elsewhere = await said(api, other, "oi")
    for execution, where in [*((execution, one) for execution in waiting), (elsewhere, other)]:
        await answered(api, execution, where, "e?", status="waiting-input")
    page = await browser.open(f"/conversations/{one}")
    page.forms = [form for form in page.forms if form.action.endswith("/cancel") and "execution" not in form.fields]
    done = await browser.submit(page, f"/dashboard/conversations/{one}/cancel")
    assert "3 executions are being cancelled." in done.text
    assert await requested(api, *waiting, elsewhere) == set(waiting)


async def test_a_message_that_is_not_sent_is_cancelled(api: Api, browser: Browser) -> None:
    """A message that was sent has no button, and a stale form is refused with the reason."""
    one = await conversation(api, PHONE)
    execution = await said(api, one, "oi")
    message = await answered(api, execution, one, "Olá!")
    page = await browser.open(f"/conversations/{one}")
    action = f"/dashboard/conversations/{one}/cancel-message"
    chosen = {"message": str(message)}
    assert f'form="cancel-message" name="message" value="{message}"' in page.html
    done = await browser.submit(page, action, chosen)
    assert "The message is being cancelled." in done.text
    asked = await api.database.fetchval("select count(*) from notification_cancels where notification_id = $1", message)
    assert asked == 1
    await api.database.fetch("update notifications set status = 'sent' where id = $1", message)
    assert str(message) not in (await browser.open(f"/conversations/{one}")).html
    late = await browser.submit(page, action, chosen)
    assert "the notification is sent, so it cannot be cancelled" in late.text


async def test_a_viewer_cannot_cancel(api: Api, viewer: Browser) -> None:
    """The buttons are absent, the page states why, and a form that is sent nevertheless does nothing."""
    one = await conversation(api, PHONE)
    waiting = await said(api, one, "oi")
    message = await answered(api, waiting, one, "e?", status="waiting-input")
    page = await viewer.open(f"/conversations/{one}")
    assert "You can look, and not act" in page.text
    assert not [form for form in page.forms if "cancel" in form.action]
    await viewer.post(f"/conversations/{one}/cancel", {"execution": str(waiting)}, status=403)
    await viewer.post(f"/conversations/{one}/cancel", status=403)
    await viewer.post(f"/conversations/{one}/cancel-message", {"message": str(message)}, status=403)
    assert await requested(api, waiting) == set()


async def test_a_long_thread_has_pages_and_long_messages_are_cut(api: Api, browser: Browser) -> None:
    """Every message is on one page."""
    one = await conversation(api, PHONE)
    for number in range(53):
        await said(api, one, f"message-{number:03} " + "á" * 5000, ago_s=1000 - number)
    page = await browser.open(f"/conversations/{one}")
    following = next(link for link in page.links if "cursor=" in link)
    older = await browser.open(following.removeprefix("/dashboard"))
    shown = [f"message-{number:03}" for number in range(53)]
    assert [name for name in shown if name in page.text] == shown[13:]
    assert [name for name in shown if name in older.text] == shown[:13]
    assert "á" * 2001 not in page.text


async def test_a_message_without_text_shows_its_content(api: Api, browser: Browser) -> None:
    """Numbers keep their digits, and so does a failed delivery its reason."""
    one = await conversation(api, PHONE)
    execution = await said(api, one, "")
    trigger = '{"message": {"id": "1", "kind": "location", "latitude": 9007199254740993}}'
    await api.database.fetch("update executions set trigger = $2::json where id = $1", execution, trigger)
    message = await answered(api, execution, one, "Olá!")
    error = ErrorDetail(kind="http-status", message=HOSTILE)
    await api.database.fetch(
        "update notifications set status = 'failed', attempts = 2, error = $2::json where id = $1",
        message, msgspec.json.encode(error).decode(),
    )  # fmt: skip
    page = await browser.open(f"/conversations/{one}")
    assert "(location, without text)" in page.text
    assert "9007199254740993" in page.text
    assert f"✕ http-status {HOSTILE}" in page.text
    assert "2 attempts" in page.text


async def test_an_unknown_conversation_is_404_and_a_merged_one_leads_on(api: Api, browser: Browser) -> None:
    one, part = await conversation(api, PHONE), await conversation(api, "5511900000002")
    await api.database.fetch("update conversations set merged_into = $2 where id = $1", part, one)
    assert (await browser.open(f"/conversations/{part}")).url == f"/dashboard/conversations/{one}"
    assert (await browser.open(f"/conversations/{str(one).upper()}")).status == 200
    for unknown in (new_id(), "x", "%00"):
        await browser.open(f"/conversations/{unknown}", status=404)


async def test_a_store_that_fails_is_shown_on_the_page(
    api: Api, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form stays."""

    async def fail(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("postgres", "gone")

    monkeypatch.setattr(api.context.history.conversations.__class__, "search", fail)
    page = await browser.open("/conversations")
    assert "This part cannot be shown: gone." in page.text


async def test_a_full_page_of_a_thread_stays_small(api: Api, browser: Browser) -> None:
    """Without the texts of its messages."""
    one = await conversation(api, PHONE)
    for number in range(30):
        await answered(api, await said(api, one, "oi", ago_s=number * 60), one, "Olá!")
    await api.database.fetch("update notifications set status = 'read'")
    page = await browser.open(f"/conversations/{one}")
    assert page.text.count("✓✓ read") == 30
    assert len(page.html.encode()) <= MAX_HTML_BYTES


async def test_a_new_message_and_a_new_wait_appear_on_the_open_page(api: Api, browser: Browser) -> None:
    """The stream sends the thread again, without the token of a session."""
    one = await conversation(api, PHONE)
    await said(api, one, "oi", ago_s=60)
    async with streaming(browser, f"/conversations/{one}") as (_, messages):
        first = (await anext(messages))["regions"]
        assert set(first) == {"waits", "thread"}
        execution = await said(api, one, "agora")
        await answered(api, execution, one, "Que dia?", status="waiting-input")
        async for message in messages:
            regions = message["regions"]
            if "Que dia?" in regions.get("thread", "") and str(execution) in str(regions):
                break
        assert "agora" in regions["thread"]
    assert "2 executions have not ended" in regions.get("waits", "")
    page = await browser.open(f"/conversations/{one}")
    assert str(execution) in page.form(f"/dashboard/conversations/{one}/cancel").fields["execution"]
