"""The list of executions: views, filters, pages, and the replay of all that match."""

from datetime import UTC, datetime, timedelta

from filas.models.record import ErrorDetail
from tests.ingest.api.serving import Api
from tests.ingest.dashboard.browsing import MAX_HTML_BYTES, Browser
from tests.ingest.dashboard.executions.recorded import HOSTILE, any_id, record, store_flow


async def test_the_executions_that_failed_come_first(api: Api, browser: Browser) -> None:
    """Above the newest ones, if no state is chosen."""
    await store_flow(api)
    failed, succeeded = await record(api), await record(api, "succeeded")
    page = await browser.open("/executions")
    lately, newest = page.html.split("Newest executions", 1)
    assert f"/dashboard/executions/{failed}" in lately
    assert f"/dashboard/executions/{succeeded}" not in lately
    assert f"/dashboard/executions/{succeeded}" in newest
    assert "timeout no answer within 10 s" in page.text


async def test_a_view_shows_only_its_states(api: Api, browser: Browser) -> None:
    """The links of the views keep the other filters."""
    await store_flow(api)
    failed, succeeded = await record(api), await record(api, "succeeded")
    page = await browser.open("/executions?flowId=orders&status=succeeded")
    assert f"/dashboard/executions/{succeeded}" in page.links
    assert f"/dashboard/executions/{failed}" not in page.links
    assert "/dashboard/executions?flowId=orders&status=failed%2Ctimed-out" in page.links


async def test_a_row_leads_to_the_conversation_of_its_contact(api: Api, browser: Browser) -> None:
    """An execution without a conversation has none."""
    await store_flow(api)
    with_contact, without = await record(api, contact="5511999990000"), await record(api)
    [listed] = [one for one in (await api.get("/executions")).data if one["id"] == str(with_contact)]
    assert (listed["channel"], listed["contact"]) == ("whatsapp", "5511999990000")
    page = await browser.open("/executions")
    link = f'<a href="/dashboard/conversations/{listed["conversationId"]}"><bdi dir="auto">5511999990000</bdi></a>'
    rows = {one: next(row for row in page.html.split("<tr ") if str(one) in row) for one in (with_contact, without)}
    assert link in rows[with_contact]
    assert "/dashboard/conversations/" not in rows[without]


async def test_filters_by_error_contact_and_time(api: Api, browser: Browser) -> None:
    """A time without a zone is the reader's; a contact is found however it is typed."""
    await store_flow(api)
    failed = await record(api, contact="5511999990000")
    other = await record(api, error=ErrorDetail(kind="template", message="wrong", node_id="known"))
    for query, found in (
        ("error=timeout", True),
        ("error=template", False),
        ("contact=(11)+99999-0000", True),
        ("contact=5521988887777", False),
        (f"since={datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M}", True),
        (f"until={datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M}", False),
    ):
        page = await browser.open(f"/executions?{query}")
        assert (f"/dashboard/executions/{failed}" in page.links) is found, query
    assert f"/dashboard/executions/{other}" in (await browser.open("/executions?error=template")).links


async def test_a_wrong_filter_is_explained(api: Api, browser: Browser) -> None:
    """The rest of the page is shown."""
    page = await browser.open("/executions?since=yesterday")
    assert "This part cannot be shown" in page.text
    assert (await browser.open("/executions?status=gone")).text.count("unknown status") == 1


async def test_an_empty_list_states_what_to_do(api: Api, browser: Browser) -> None:
    """Nothing yet: a command. Nothing that matches: how many do without the state."""
    assert "No executions yet" in (await browser.open("/executions")).text
    await store_flow(api)
    await record(api)
    page = await browser.open("/executions?flowId=orders&status=succeeded")
    assert "1 does without “Succeeded”" in page.text
    assert "/dashboard/executions?flowId=orders" in page.links
    assert "Show it without the filters" in (await browser.open("/executions?error=gone")).text


async def test_a_page_has_fifty_rows_and_leads_to_the_next(api: Api, browser: Browser) -> None:
    """With the filters, and within the size of a page."""
    await store_flow(api)
    ids = [str(await record(api)) for _ in range(53)]
    page = await browser.open("/executions?status=failed,timed-out&flowId=orders")
    assert len(page.html.encode()) <= MAX_HTML_BYTES
    shown = {one for one in ids if f"/dashboard/executions/{one}" in page.links}
    assert len(shown) == 50
    [following] = [link for link in page.links if "cursor=" in link]
    assert "flowId=orders" in following
    rest = await browser.open(following.removeprefix("/dashboard"))
    assert {one for one in ids if f"/dashboard/executions/{one}" in rest.links} == set(ids) - shown
    assert len((await browser.open("/executions")).html.encode()) <= MAX_HTML_BYTES


async def test_a_hostile_error_is_text(api: Api, browser: Browser) -> None:
    """In the list and on the page of the execution."""
    await store_flow(api)
    execution = await record(api, error=ErrorDetail(kind="template", message=HOSTILE, node_id="known"))
    for path in ("/executions", f"/executions/{execution}"):
        assert '<script>alert("x")</script>' in (await browser.open(path)).text


async def test_a_replay_of_all_that_match_is_checked_and_then_confirmed(api: Api, browser: Browser) -> None:
    """The check changes nothing. The replay has the filters, runs in the background, and two clicks start one."""
    await store_flow(api)
    await record(api)
    await record(api, error=ErrorDetail(kind="template", message="wrong", node_id="known"))
    page = await browser.open("/executions?error=timeout")
    assert page.form("/dashboard/executions/replay").fields == {"error": "timeout"}
    checked = await browser.open("/executions/replay?error=timeout&rate=50")
    assert "1 execution would be replayed" in checked.text
    assert await replays(api) == 0
    fields = checked.form("/dashboard/executions/replay").fields
    for _ in range(2):
        address = f"{api.url}/dashboard/executions/replay"
        async with browser.session.post(address, data=fields, allow_redirects=False) as answer:
            assert answer.status == 303
    [run] = (await api.get("/replays")).data
    assert answer.headers["Location"] == f"/dashboard/replays/{run['id']}"
    assert (run["definition"]["error"], run["rate"], run["expected"]) == ("timeout", 50.0, 1)


async def test_a_replay_of_all_is_offered_only_for_what_it_selects(api: Api, browser: Browser) -> None:
    """It has no filter for one state or one event, so it would ignore them."""
    await store_flow(api)
    execution = await record(api)
    event_id = await api.database.fetchval("select event_id from executions where id = $1", execution)
    for query, offered in (
        ("status=failed,timed-out", True),
        ("flowId=orders", True),
        ("status=failed", False),
        (f"eventId={event_id}", False),
    ):
        page = await browser.open(f"/executions?{query}")
        assert f"/dashboard/executions/{execution}" in page.links
        assert any(form.action == "/dashboard/executions/replay" for form in page.forms) is offered, query


async def test_wrong_options_of_a_replay_are_explained(api: Api, browser: Browser) -> None:
    """The form stays."""
    for query in ("limit=many", "rate=-1", "rate=nan", "rate=inf", "since=yesterday"):
        page = await browser.open(f"/executions/replay?{query}")
        assert 'role="alert"' in page.html, query
    assert await replays(api) == 0


async def test_a_viewer_replays_nothing(api: Api, browser: Browser, viewer: Browser) -> None:
    """The page explains it, and the server refuses."""
    await store_flow(api)
    await record(api)
    page = await viewer.open("/executions")
    assert "your role is viewer" in page.text
    assert not [form for form in page.forms if "executions/replay" in form.action]
    await viewer.open("/executions/replay", status=403)
    await viewer.post("/executions/replay", status=403)
    assert await replays(api) == 0


async def test_an_unknown_execution_is_a_page(browser: Browser) -> None:
    """404 with the frame."""
    assert "Executions" in (await browser.open(f"/executions/{any_id()}", status=404)).text


async def replays(api: Api) -> int:
    return int(await api.database.fetchval("select count(*) from executions where replay_of is not null"))
