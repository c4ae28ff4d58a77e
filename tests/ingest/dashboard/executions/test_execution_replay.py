"""The replay of one execution, and the replay beside its original."""

from typing import Any
from uuid import UUID

import msgspec

from tests.ingest.api.serving import Api
from tests.ingest.dashboard.browsing import MAX_HTML_BYTES, Browser
from tests.ingest.dashboard.executions.recorded import FLOW, LARGE, VISITS, record, record_waiting, steps, store_flow
from tests.shared.repository import builders


async def replay_of(api: Api, execution: UUID) -> Any:
    rows = await api.database.fetch("select * from executions where replay_of = $1", execution)
    assert len(rows) == 1
    return rows[0]


async def test_replay_from_the_start_shows_the_new_execution(api: Api, browser: Browser) -> None:
    """In its own version, with the trigger that it had."""
    await store_flow(api)
    execution = await record(api)
    page = await browser.open(f"/executions/{execution}")
    [start, failed] = [form for form in page.forms if form.action == f"/dashboard/executions/{execution}/replay"]
    assert (start.fields["from"], failed.fields["from"]) == ("start", "failed-step")
    done = await browser.post(f"/executions/{execution}/replay", {"from": "start"}, status=200)
    row = await replay_of(api, execution)
    assert done.url == f"/dashboard/executions/{row['id']}"
    assert "This is the new execution" in done.text
    assert row["start_state"] is None
    original = await browser.open(f"/executions/{execution}")
    assert f"/dashboard/executions/{row['id']}/compare" in original.links


async def test_replay_from_the_failed_step_keeps_its_state(api: Api, browser: Browser) -> None:
    """The new execution starts from the saved state."""
    await store_flow(api)
    execution = await record(api)
    await browser.post(f"/executions/{execution}/replay", {"from": "failed-step"}, status=200)
    assert (await replay_of(api, execution))["start_state"] is not None


async def test_an_edited_body_in_the_newest_version(api: Api, browser: Browser) -> None:
    """The body is edited as text: a number of 64 bits keeps its digits."""
    await store_flow(api)
    body = b'{"from": "5511999990000",\n "n": %d}' % LARGE
    execution = await record(api, body=body)
    assert (await api.put("/flows/orders", FLOW | {"name": "Orders 2"})).status == 200
    page = await browser.open(f"/executions/{execution}/replay")
    form = page.form(f"/dashboard/executions/{execution}/replay")
    assert form.fields["body"].removeprefix("\n") == body.decode()
    edited = body.decode().replace("5511999990000", "5521988887777").replace("\n", "\r\n")
    await browser.submit(
        page, f"/dashboard/executions/{execution}/replay", {"body": edited, "version": "newest", "from": "start"}
    )
    row = await replay_of(api, execution)
    assert row["version"] == 2
    trigger = msgspec.json.decode(row["trigger"])
    assert trigger["webhook"]["body"] == {"from": "5521988887777", "n": LARGE}


async def test_an_unchanged_body_is_not_sent(api: Api, browser: Browser) -> None:
    """The line breaks of the browser are no change."""
    await store_flow(api)
    execution = await record(api, body=b'{"from": "5511999990000",\n "n": 1}')
    page = await browser.open(f"/executions/{execution}/replay")
    sent = page.form(f"/dashboard/executions/{execution}/replay").fields["body"].removeprefix("\n")
    await browser.submit(
        page, f"/dashboard/executions/{execution}/replay", {"body": sent.replace("\n", "\r\n"), "from": "start"}
    )
    original = await api.database.fetchval("select trigger from executions where id = $1", execution)
    assert (await replay_of(api, execution))["trigger"] == original


async def test_replay_from_another_node(api: Api, browser: Browser) -> None:
    """The link of a step chooses its node."""
    await store_flow(api)
    execution = await record(api, "succeeded", steps=steps(*VISITS[:2], ("look-up", "api", "out")))
    page = await browser.open(f"/executions/{execution}?step=3")
    link = f"/dashboard/executions/{execution}/replay?from=node&node=look-up"
    assert link in page.links
    form = await browser.open(link.removeprefix("/dashboard"))
    assert form.form(f"/dashboard/executions/{execution}/replay").fields["node"] == "look-up"
    await browser.submit(form, f"/dashboard/executions/{execution}/replay")
    assert (await replay_of(api, execution))["node_id"] == "look-up"


async def test_two_clicks_replay_once(api: Api, browser: Browser) -> None:
    """The form has an id."""
    await store_flow(api)
    execution = await record(api)
    page = await browser.open(f"/executions/{execution}/replay")
    for _ in range(2):
        await browser.submit(page, f"/dashboard/executions/{execution}/replay", {"from": "start"})
    await replay_of(api, execution)


async def test_a_refused_replay_shows_the_form_with_what_was_entered(api: Api, browser: Browser) -> None:
    """The reason, and the edited body; nothing is replayed."""
    await store_flow(api)
    execution = await record(api)
    page = await browser.open(f"/executions/{execution}/replay")
    refused = await browser.submit(
        page, f"/dashboard/executions/{execution}/replay", {"body": "{not json", "from": "start"}, status=422
    )
    assert "{not json" in refused.form(f"/dashboard/executions/{execution}/replay").fields["body"]
    assert await api.database.fetchval("select count(*) from executions where replay_of is not null") == 0


async def test_an_execution_that_has_not_ended_is_not_replayed(api: Api, browser: Browser) -> None:
    """The page explains it, and the API refuses."""
    await store_flow(api)
    execution = await record_waiting(api)
    assert "has not ended" in (await browser.open(f"/executions/{execution}/replay")).text
    await browser.post(f"/executions/{execution}/replay", {"from": "start"}, status=409)


async def test_a_large_body_is_not_edited(api: Api, browser: Browser) -> None:
    """The page stays small and leads to the event."""
    await store_flow(api)
    execution = await record(api, body=b'{"text":"%s"}' % (b"x" * 100_000))
    page = await browser.open(f"/executions/{execution}/replay")
    assert "too large to be edited" in page.text
    assert len(page.html.encode()) <= MAX_HTML_BYTES


async def test_a_replay_is_shown_beside_its_original(api: Api, browser: Browser) -> None:
    """Two graphs, and the steps that differ."""
    await store_flow(api)
    execution = await record(api)
    await browser.post(f"/executions/{execution}/replay", {"from": "start"}, status=200)
    replay = (await replay_of(api, execution))["id"]
    claimed = await api.context.executions.claim(replay, 1, "worker", 30)
    assert claimed is not None
    done = steps(*VISITS[:2], ("look-up", "api", "out"), ("answer", "message", "out"))
    await api.context.executions.checkpoint_many([builders.checkpoint(claimed, "succeeded", steps=done)])
    page = await browser.open(f"/executions/{replay}/compare")
    assert len(page.html.encode()) <= MAX_HTML_BYTES
    assert page.html.count('<svg class="flow-graph') == 2
    rows = page.text.split("Steps compared")[-1]
    assert "state, handle, error" in rows
    assert "only on one side" in rows
    assert "none" in rows
    await browser.open(f"/executions/{execution}/compare", status=404)
    chosen = await browser.open(f"/executions/{replay}/compare?pair=1", headers={"Accept-Language": "pt-BR"})
    assert str(LARGE) in chosen.text
