"""What is done with executions, by mouse and by keyboard, with its effect in the database and at the receiver."""

import pytest

from tests.browser.clinic import PHONES, Clinic
from tests.browser.hands import HOWS, Hands, How
from tests.browser.visitors import Visitors
from tests.waiting import eventually

REPLAY = "select id::text from executions where replay_of = $1::uuid"
STATUS = "select status from executions where id = $1::uuid and status = $2"
BOUND_S = 60

by = pytest.mark.parametrize("how", HOWS)


async def failed_payment(clinic: Clinic) -> str:
    """The id of an execution that failed because the accounts did not answer; they answer again."""
    clinic.outside.accounts_are_down = True
    try:
        return await clinic.execution(await clinic.pay(PHONES[0], 249.9), "failed")
    finally:
        clinic.outside.accounts_are_down = False


def payments(clinic: Clinic) -> int:
    """How many payments the accounts have received."""
    return len(clinic.outside.at("/financeiro/pagamentos"))


@by
async def test_replay(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The accounts receive the payment again, and the page shows the new execution."""
    execution_id = await failed_payment(clinic)
    before = payments(clinic)
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(f"/executions/{execution_id}")
        await Hands(page, how).press(page.locator("button[data-shortcut=r]"))
        replay_id = await clinic.until(REPLAY, execution_id)
        await page.wait_for_url(f"**/dashboard/executions/{replay_id}")
        await clinic.until(STATUS, replay_id, "succeeded")
        assert payments(clinic) > before
        await page.locator("text=succeeded").first.wait_for()


@by
async def test_an_edited_replay_from_a_node(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The receiver gets the edited amount."""
    execution_id = await failed_payment(clinic)
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(f"/executions/{execution_id}")
        hands = Hands(page, how)
        await hands.press(page.locator("a[data-shortcut=e]"))
        field = page.locator("#body")
        await field.wait_for()
        await hands.write(field, (await field.input_value()).replace("249.9", "9007199254740993"))
        await hands.press(page.locator("form button.primary"))
        replay_id = await clinic.until(REPLAY, execution_id)
        await clinic.until(STATUS, replay_id, "succeeded")
        assert any(b"9007199254740993" in body for _, body in clinic.outside.at("/financeiro/pagamentos"))


@by
async def test_a_refused_edit_is_shown_again(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """With the reason, and without a loss of what was written."""
    execution_id = await failed_payment(clinic)
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(f"/executions/{execution_id}/replay")
        visitor.watch.expect("422 (")
        hands = Hands(page, how)
        await hands.write(page.locator("#body"), "{nothing")
        await hands.press(page.locator("form button.primary"))
        await page.locator("main [role=alert]").wait_for()
        assert await page.locator("#body").input_value() == "{nothing"
        assert await clinic.database.fetchval(REPLAY, execution_id) is None


@by
async def test_cancel_asks_first(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The execution waits until the second button, and is then cancelled; the page shows it without a reload."""
    execution_id = await clinic.talk(PHONES[7], "Oi")
    await clinic.until_asked(execution_id, 1)
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(f"/executions/{execution_id}")
        hands = Hands(page, how)
        await hands.press(page.locator("details.confirm > summary"))
        assert await clinic.database.fetchval(STATUS, execution_id, "waiting-input")
        await hands.press(page.locator("details.confirm button.danger"))
        await clinic.until(STATUS, execution_id, "cancelled")
        await page.locator(".big-state .pale").wait_for()


@by
async def test_all_that_match_are_replayed_after_a_check(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The check changes nothing. The run replays what matches the filter, and its page shows the progress."""
    execution_id = await failed_payment(clinic)
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open("/executions?flowId=pagamento")
        hands = Hands(page, how)
        await hands.press(page.locator("#replay-all button"))
        confirm = page.locator("form.bulk-confirm button")
        await confirm.wait_for()
        assert await clinic.database.fetchval(REPLAY, execution_id) is None
        await hands.press(confirm)
        await page.wait_for_url("**/dashboard/replays/*")
        replay_id = await clinic.until(REPLAY, execution_id)
        await clinic.until(STATUS, replay_id, "succeeded")


@by
async def test_the_graph_leads_to_each_step(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """A node is a link that the keyboard reaches."""
    execution_id = await failed_payment(clinic)
    async with visitors.visitor("viewer") as visitor:
        page = await visitor.open(f"/executions/{execution_id}")
        assert "registro" in await page.locator("#step h2").inner_text()
        await Hands(page, how).press(page.locator("a.node").first)
        await page.wait_for_url("**step=1*")
        assert "start" in await page.locator("#step h2").inner_text()
        assert await page.locator("a.node-selected[aria-current=true]").count() == 1


async def test_a_running_execution_is_followed(visitors: Visitors, clinic: Clinic) -> None:
    """The path grows while the contact replies, and nothing is loaded again."""
    execution_id = await clinic.talk(PHONES[6], "Oi")
    await clinic.until_asked(execution_id, 1)
    async with visitors.visitor("viewer") as visitor:
        page = await visitor.open(f"/executions/{execution_id}")
        await page.evaluate("window.stays = true")
        before = await page.locator(".edge-taken").count()
        await clinic.say(PHONES[6], "Cardiologia")

        async def grown() -> bool:
            return await page.locator(".edge-taken").count() > before

        await eventually(grown, BOUND_S, message="the page does not follow the execution")
        assert await page.evaluate("window.stays")
