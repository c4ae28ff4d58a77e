"""What is done with events, by mouse and by keyboard, with its effect in the database and at the receiver."""

import json

import pytest

from tests.browser.clinic import PHONES, Clinic
from tests.browser.hands import HOWS, Hands, How
from tests.browser.visitors import Visitors

REPLAYED = "select replay from events where id = $1::uuid and replay > 0 and status = 'processed'"
EXECUTIONS = "select count(*) from executions where event_id = $1::uuid having count(*) >= $2"
EDITED = "select id::text from events where replay_of = $1::uuid"
UNTOUCHED = "select replay from events where id = $1::uuid"

by = pytest.mark.parametrize("how", HOWS)


async def payment(clinic: Clinic, value: float = 31.5) -> str:
    """The id of the event of a payment whose execution has succeeded."""
    event_id = await clinic.pay(PHONES[1], value)
    await clinic.execution(event_id, "succeeded")
    return event_id


def received(clinic: Clinic, text: bytes) -> int:
    """How many payments with this text the accounts have received."""
    return sum(text in body for _, body in clinic.outside.at("/financeiro/pagamentos"))


@by
async def test_a_replay(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The event starts another execution, and the page shows both without a reload."""
    event_id = await payment(clinic, 411.25)
    before = received(clinic, b"411.25")
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(f"/events/{event_id}")
        await Hands(page, how).press(page.locator("button[data-shortcut=r]"))
        await page.locator("[role=status].completed").wait_for()
        await clinic.until(REPLAYED, event_id)
        await clinic.until(EXECUTIONS, event_id, 2)
        await page.locator("#progress tbody tr").nth(1).wait_for()
        await clinic.until("select 1 from executions where event_id = $1::uuid having count(ended_at) = 2", event_id)
        assert received(clinic, b"411.25") > before


@by
async def test_an_edited_replay(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The receiver gets the edited amount with all digits. The original stays and is shown beside it."""
    event_id = await payment(clinic, 73.75)
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(f"/events/{event_id}")
        hands = Hands(page, how)
        await hands.press(page.locator("a[data-shortcut=e]"))
        field = page.locator("#body")
        await field.wait_for()
        await hands.write(field, (await field.input_value()).replace("73.75", "9007199254740995"))
        await hands.press(page.locator("form#edit button.primary"))
        edited = await clinic.until(EDITED, event_id)
        await page.wait_for_url(f"**/dashboard/events/{edited}")
        await clinic.execution(edited, "succeeded")
        assert received(clinic, b"9007199254740995") >= 1
        assert await page.locator("figure.payload", has_text="73.75").count() == 1
        assert await clinic.database.fetchval(UNTOUCHED, event_id) == 0


@by
async def test_a_refused_edit_is_shown_again(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """With the reason, and without a loss of what was written."""
    event_id = await payment(clinic)
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(f"/events/{event_id}/edit")
        visitor.watch.expect("422 (")
        hands = Hands(page, how)
        await hands.write(page.locator("#body"), "{nothing")
        await hands.press(page.locator("form#edit button.primary"))
        await page.locator("main [role=alert]").wait_for()
        assert await page.locator("#body").input_value() == "{nothing"
        assert await clinic.database.fetchval(EDITED, event_id) is None


@by
async def test_all_that_match_are_replayed_after_a_check(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The check changes nothing. The run replays what matches the filters, and its page shows the progress."""
    event_id = await payment(clinic, 8125.5)
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open("/events?webhookId=pagamento&status=processed&text=8125")
        hands = Hands(page, how)
        await hands.press(page.locator("#replay-all button"))
        confirm = page.locator("main form[method=post] button.primary")
        await confirm.wait_for()
        assert await clinic.database.fetchval(UNTOUCHED, event_id) == 0
        await hands.press(confirm)
        await page.wait_for_url("**/dashboard/replays/*")
        await clinic.until(REPLAYED, event_id)


async def test_a_viewer_has_no_action(visitors: Visitors, clinic: Clinic) -> None:
    """The pages state why."""
    event_id = await payment(clinic)
    async with visitors.visitor("viewer") as visitor:
        for path in (f"/events/{event_id}", f"/events/{event_id}/edit"):
            page = await visitor.open(path)
            assert await page.locator("main form[method=post]").count() == 0
            assert "viewer" in await page.locator("main").inner_text()


async def test_a_replay_without_javascript(visitors: Visitors, clinic: Clinic) -> None:
    """The form works alone."""
    event_id = await payment(clinic)
    async with visitors.visitor("operator", javascript=False) as visitor:
        page = visitor.page
        await page.goto(f"{visitor.url}/dashboard/events/{event_id}")
        await page.locator("button[data-shortcut=r]").click()
        await clinic.until(REPLAYED, event_id)


async def test_a_hostile_body_stays_text(visitors: Visitors, clinic: Clinic) -> None:
    """Scripts, marks of direction, lone surrogates, large numbers and 1 MiB: nothing runs, nothing is rounded."""
    body = {
        "telefone": PHONES[2],
        "nome": "<script>document.title='owned'</script><img src=x onerror=alert(1)>\u202egnp",
        "pedido": 9_007_199_254_740_993,
        "valor": 1,
        "surrogate": "\ud800",
        "long": "x" * 900_000,
    }
    event_id = await clinic.post("pagamento", json.dumps(body).encode())
    async with visitors.visitor("admin") as visitor:
        page = await visitor.open(f"/events/{event_id}")
        shown = await page.locator("figure.payload pre").first.inner_text()
        assert "<script>document.title='owned'</script>" in shown
        assert "9007199254740993" in shown
        assert "\\ud800" in shown
        assert await page.locator("main img, main script").count() == 0
        async with page.expect_download() as download:
            await page.locator("figure.payload a[download]").first.click()
        path = await (await download.value).path()
        assert path.stat().st_size > 900_000
        await visitor.open("/events")
