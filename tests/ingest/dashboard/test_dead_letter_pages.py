"""The pages of dead letters: what they show, and what each action does in the stores."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from filas.contract.fingerprints import fingerprint
from filas.models.dead_letters import NewDeadLetter
from filas.models.record import ErrorDetail
from ingest.api.history.replay_runner import ReplayRunner
from ingest.dashboard.pages import dead_letters
from tests.ingest.api.serving import Api
from tests.ingest.api.test_history import new_event, webhook_payload
from tests.ingest.api.test_redrive import dead, jobs, letter
from tests.ingest.api.test_replay_runs import finish
from tests.ingest.dashboard.browsing import Browser

HOSTILE = "<script>alert(1)</script>\u202e\"'"


async def letters(api: Api, count: int, message: str = "no answer") -> list[NewDeadLetter]:
    """Dead letters of now, one second apart."""
    events = [new_event() for _ in range(count)]
    await api.context.events.insert_many(events)
    now = datetime.now(UTC)
    made = [
        msgspec.structs.replace(
            letter(event, "timeout", now - timedelta(seconds=age)), error=ErrorDetail(kind="timeout", message=message)
        )
        for age, event in enumerate(events)
    ]
    await api.context.dead_letters.insert_many(made)
    return made


async def ids(api: Api) -> list[str]:
    """The ids of all dead letters, newest first."""
    return [one["id"] for one in (await api.get("/dead-letters?limit=500")).data]


async def test_an_empty_list_states_that_nothing_has_to_be_done(browser: Browser) -> None:
    """Without and with a filter."""
    assert "No dead letters" in (await browser.open("/dead-letters")).text
    assert "No dead letter matches" in (await browser.open("/dead-letters?queue=flow-processing")).text


async def test_the_list_has_groups_and_pages(api: Api, browser: Browser) -> None:
    """Hostile text appears as text. The second page continues after the first."""
    await letters(api, 3, HOSTILE)
    await letters(api, 55)
    page = await browser.open("/dead-letters")
    assert HOSTILE in page.text
    assert 'aria-label="55 over the time' in page.html
    assert page.html.count("data-row-href") == 50
    second = await browser.open(next(link for link in page.links if "cursor=" in link).removeprefix("/dashboard"))
    assert second.html.count("data-row-href") == 8


async def test_a_group_is_tried_and_then_replayed(api: Api, browser: Browser) -> None:
    """The dry run changes nothing; the replay enqueues the jobs of the group alone."""
    await letters(api, 4, "refused")
    await letters(api, 2, "another")
    name = fingerprint(ErrorDetail(kind="timeout", message="refused"))
    path = f"/dead-letters/groups/{name}"
    page = await browser.open(path)
    action = f"/dashboard{path}/replay"
    tried = await browser.submit(page, action, {"rate": "100", "preview": "1"})
    assert "4 dead letters would be replayed" in tried.text
    assert await jobs(api, "waiting") == []
    run = await browser.submit(tried, action, {"replay": "1", "rate": ""})
    assert run.url.startswith("/dashboard/replays/")
    run_id = run.url.rpartition("/")[2]
    await finish(ReplayRunner(api.context))
    # A delayed job may become due between the two calls.
    enqueued = await jobs(api, "delayed") + await jobs(api, "waiting")
    assert len({job["id"] for job in enqueued}) == 4
    ended = await browser.open(f"/replays/{run_id}")
    assert "4 of 4" in ended.text
    assert "finished" in ended.text
    assert f"/dashboard/replays/{run_id}" in (await browser.open("/replays")).links


async def test_a_replay_is_slowed_down_and_stopped(api: Api, browser: Browser) -> None:
    """The rest of the dead letters stays as it is."""
    await letters(api, 30)
    name = fingerprint(ErrorDetail(kind="timeout", message="no answer"))
    page = await browser.open(f"/dead-letters/groups/{name}")
    action = f"/dashboard/dead-letters/groups/{name}/replay"
    run = await browser.submit(page, action, {"rate": "1", "replay": "1"})
    wrong = await browser.submit(run, f"{run.url}/rate", {"rate": "soon"})
    assert "soon is no number" in wrong.text
    slow = await browser.submit(run, f"{run.url}/rate", {"rate": "0,5"})
    assert "0.5 per second" in slow.text
    stopped = await browser.submit(slow, f"{run.url}/stop")
    assert "The replay was stopped" in stopped.text
    assert [form.action for form in stopped.forms if "/replays/" in form.action] == []
    run_id = run.url.rpartition("/")[2]
    assert (await api.get(f"/replays/{run_id}")).data["status"] == "stopped"
    again = await browser.post(f"/replays/{run_id}/stop", status=409)
    assert "does not run" in again.text


async def test_a_group_is_deleted_and_restored(api: Api, browser: Browser) -> None:
    """The button of the message takes it back."""
    await letters(api, 3)
    name = fingerprint(ErrorDetail(kind="timeout", message="no answer"))
    page = await browser.open(f"/dead-letters/groups/{name}")
    gone = await browser.submit(page, f"/dashboard/dead-letters/groups/{name}/delete")
    assert "3 dead letters were deleted" in gone.text
    assert await ids(api) == []
    undo = next(form.action for form in gone.forms if form.action.endswith("/restore"))
    back = await browser.submit(gone, undo)
    assert "3 dead letters exist again" in back.text
    assert len(await ids(api)) == 3


@pytest.mark.parametrize("rate", ["fast", "0", "-1", "1e9"])
async def test_a_wrong_rate_is_an_error_on_the_page(api: Api, browser: Browser, rate: str) -> None:
    """Nothing is replayed."""
    await letters(api, 1)
    page = await browser.open("/dead-letters/groups/" + fingerprint(ErrorDetail(kind="timeout", message="no answer")))
    action = next(form.action for form in page.forms if form.action.endswith("/replay"))
    answer = await browser.submit(page, action, {"rate": rate, "replay": "1"})
    assert "did not work" in answer.text
    assert await jobs(api, "waiting") == []


async def test_one_dead_letter_is_replayed_and_then_has_no_button(api: Api, browser: Browser) -> None:
    """Its page shows the error, and links to its event and its new job."""
    (event,) = await dead(api, 1)
    (one,) = await ids(api)
    page = await browser.open(f"/dead-letters/{one}")
    assert f"/dashboard/events/{event.id}" in page.links
    action = f"/dashboard/dead-letters/{one}/replay"
    assert len([form for form in page.forms if form.action == action]) == 2
    page.forms = [form for form in page.forms if "payload" not in form.fields]
    done = await browser.submit(page, action)
    assert "It was enqueued again" in done.text
    assert [form for form in done.forms if form.action == action] == []
    assert len(await jobs(api, "waiting")) == 1


async def test_an_edited_message_is_replayed_and_a_wrong_one_is_shown_again(api: Api, browser: Browser) -> None:
    """What the user has typed is not lost."""
    await dead(api, 1)
    (one,) = await ids(api)
    page = await browser.open(f"/dead-letters/{one}")
    action = f"/dashboard/dead-letters/{one}/replay"
    page.forms = [form for form in page.forms if "payload" in form.fields]
    text = page.form(action).fields["payload"]
    for wrong, status in (("{", 400), (text.replace("eventId", "eventID"), 422), ("[]", 422)):
        refused = await browser.submit(page, action, {"payload": wrong}, status=status)
        assert wrong.split("\n")[0] in refused.text
        assert 'role="alert"' in refused.html
    assert await jobs(api, "waiting") == []
    edited = text.replace('"flowId": "', '"flowId": "other-')
    assert edited != text
    done = await browser.submit(page, action, {"payload": edited.replace("\n", "\r\n")})
    assert "It was enqueued again" in done.text
    (job,) = await jobs(api, "waiting")
    assert job["data"]["flowId"].startswith("other-")


async def test_a_dead_letter_is_deleted_and_restored(api: Api, browser: Browser) -> None:
    """The button asks first. The page leads to the list."""
    await dead(api, 1)
    (one,) = await ids(api)
    page = await browser.open(f"/dead-letters/{one}")
    done = await browser.submit(page, f"/dashboard/dead-letters/{one}/delete")
    assert "was deleted" in done.text
    assert done.url == "/dashboard/dead-letters"
    assert await ids(api) == []
    await browser.open(f"/dead-letters/{one}", status=404)
    back = await browser.submit(done, f"/dashboard/dead-letters/{one}/restore")
    assert "exists again" in back.text
    assert await ids(api) == [one]


async def test_a_viewer_reads_and_cannot_act(api: Api, viewer: Browser) -> None:
    """No button is shown, and a form sent nevertheless is refused."""
    await dead(api, 1)
    (one,) = await ids(api)
    name = (await api.get("/dead-letters")).data[0]["fingerprint"]
    for path in (f"/dead-letters/{one}", f"/dead-letters/groups/{name}"):
        page = await viewer.open(path)
        assert [form.action for form in page.forms if "/dead-letters/" in form.action] == []
        assert "your role is viewer" in page.text
    for path in (f"/dead-letters/{one}/replay", f"/dead-letters/{one}/delete", f"/dead-letters/groups/{name}/replay"):
        await viewer.post(path, status=403)
    assert await ids(api) == [one]
    assert await jobs(api, "waiting") == []


async def test_a_payload_keeps_its_numbers(api: Api, browser: Browser) -> None:
    """64-bit integers are not rounded."""
    event = new_event()
    await api.context.events.insert_many([event])
    payload = webhook_payload(event) | {"big": 9223372036854775807}
    await api.context.dead_letters.insert_many(
        [letter(event, "timeout", datetime.now(UTC), msgspec.json.encode(payload))]
    )
    (one,) = await ids(api)
    assert "9223372036854775807" in (await browser.open(f"/dead-letters/{one}")).text


def test_every_queue_can_be_chosen() -> None:
    """The filter has the three queues."""
    assert len(dead_letters._queues()) == 3


async def test_times_are_in_the_readers_zone(api: Api, browser: Browser) -> None:
    """A time without a zone is that of the reader's clock."""
    await letters(api, 1)
    page = await browser.open("/dead-letters")
    await browser.submit(page, "/dashboard/preferences", {"zone": "America/Sao_Paulo"})
    since = datetime.now(UTC) - timedelta(hours=1)
    local = (since - timedelta(hours=3)).replace(tzinfo=None).isoformat(timespec="minutes")
    shown = await browser.open(f"/dead-letters?since={local}")
    assert f'value="{local}"' in shown.html
    assert "1 over the time" in shown.html
    assert "1 over the time" not in (await browser.open(f"/dead-letters?since={local}&until={local}")).html
    assert "cannot be shown" in (await browser.open("/dead-letters?since=yesterday")).text
