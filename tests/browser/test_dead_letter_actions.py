"""What is done with dead letters, by mouse and by keyboard, with its effect in the database and at the receiver."""

import pytest

from tests.browser.clinic import Clinic
from tests.browser.hands import HOWS, Hands, How
from tests.browser.visitors import Visitors
from tests.waiting import eventually

REPLAYED = "select replayed_at is not null from dead_letters where id = $1::uuid"
DELETED = "select not exists (select from dead_letters where id = $1::uuid)"

by = pytest.mark.parametrize("how", HOWS)


@by
async def test_replay(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The message reaches the team's channel again."""
    letter_id = await clinic.dead_letter()
    before = len(clinic.outside.at("/equipe"))
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(f"/dead-letters/{letter_id}")
        await Hands(page, how).press(
            page.locator(f"form[action='/dashboard/dead-letters/{letter_id}/replay'] .primary")
        )
        await page.locator("main [role=status]").wait_for()
        await clinic.until(REPLAYED, letter_id)
        await eventually(lambda: len(clinic.outside.at("/equipe")) > before, 45, message="the message was not sent")


@by
async def test_delete_asks_first(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The first button shows a question, the second one deletes."""
    letter_id = await clinic.dead_letter()
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(f"/dead-letters/{letter_id}")
        hands = Hands(page, how)
        await hands.press(page.locator("details.confirm > summary"))
        assert not await clinic.database.fetchval(DELETED, letter_id)
        await hands.press(page.locator("details.confirm button.danger"))
        await page.wait_for_url("**/dashboard/dead-letters")
        await clinic.until(DELETED, letter_id)


@by
async def test_edit_and_replay(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """A wrong edit is shown again with the reason and without a loss; a right one is replayed."""
    letter_id = await clinic.dead_letter()
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(f"/dead-letters/{letter_id}")
        visitor.watch.expect("400 (")
        hands = Hands(page, how)
        field, button = page.locator("#payload"), page.locator("#edit button")
        original = await field.input_value()
        await hands.write(field, "{nothing")
        await hands.press(button)
        await page.locator("main [role=alert]").wait_for()
        assert await field.input_value() == "{nothing"
        assert not await clinic.database.fetchval(REPLAYED, letter_id)
        await hands.write(field, original + " ")
        await hands.press(button)
        await page.locator("main [role=status]").wait_for()
        await clinic.until(REPLAYED, letter_id)


@by
async def test_a_group_is_replayed_at_a_rate_after_a_dry_run(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The dry run changes nothing and shows how many it would replay."""
    letter_id = await clinic.dead_letter()
    fingerprint = await clinic.until("select fingerprint from dead_letters where id = $1::uuid", letter_id)
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(f"/dead-letters/groups/{fingerprint}")
        hands = Hands(page, how)
        await hands.write(page.locator("input[name=rate]"), "50")
        await hands.press(page.locator("button[name=preview]"))
        await page.locator("button[name=replay]").wait_for()
        assert not await clinic.database.fetchval(REPLAYED, letter_id)
        assert await page.locator("input[name=rate]").input_value() == "50"
        await hands.press(page.locator("button[name=replay]"))
        await clinic.until(REPLAYED, letter_id)
        # Otherwise it also replays the dead letters of later tests.
        await clinic.until("select not exists (select from replay_runs where status = 'running')")


async def test_an_action_works_without_javascript(visitors: Visitors, clinic: Clinic) -> None:
    """The form is enough."""
    letter_id = await clinic.dead_letter()
    async with visitors.visitor("operator", javascript=False) as visitor:
        page = await visitor.open(f"/dead-letters/{letter_id}")
        await page.click(f"form[action='/dashboard/dead-letters/{letter_id}/replay'] .primary")
        await page.locator("main [role=status]").wait_for()
        await clinic.until(REPLAYED, letter_id)
