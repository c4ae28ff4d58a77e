"""What the scripts of the flow editor send, and the JSON that they get."""

import json
from typing import Any

import aiohttp

from tests.ingest.api.serving import FLOW, Api
from tests.ingest.dashboard.browsing import Browser


async def send(browser: Browser, path: str, **fields: Any) -> tuple[int, Any]:
    """Sends a form as a script does: the fields that are no text as JSON."""
    page = await browser.open("/_components")
    csrf = next(form.fields["csrf"] for form in page.forms if "csrf" in form.fields)
    data = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    headers = {"Accept": "application/json", "Origin": browser.api.url}
    url = f"{browser.api.url}/dashboard/flows/greeting/edit/{path}"
    async with browser.session.post(url, data={"csrf": csrf} | data, headers=headers) as answer:
        assert answer.content_type == "application/json", await answer.text()
        return answer.status, await answer.json()


async def test_a_definition_is_checked_and_compared(api: Api, browser: Browser) -> None:
    await api.put("/flows/greeting", FLOW)
    status, found = await send(browser, "check", definition=FLOW | {"edges": []})
    assert (status, [one["nodeId"] for one in found["errors"]], found["warnings"]) == (200, ["hello"], [])
    assert set(found["scopes"]) == {"start", "hello"}
    _, found = await send(browser, "check", definition=FLOW, nodeId="hello")
    assert set(found["scopes"]) == {"hello"}
    status, found = await send(browser, "differences", definition=FLOW | {"name": "Other"})
    assert (status, [one["field"] for one in found["differences"]], found["beforeVersion"]) == (200, ["name"], 1)


async def test_a_draft_is_saved_and_published(api: Api, browser: Browser) -> None:
    """The conflict of a draft and that of a publication name the other author."""
    status, first = await send(browser, "draft", definition={"half": True}, revision="0")
    assert status == 200
    status, refused = await send(browser, "draft", definition={}, revision="0")
    assert (status, refused["savedBy"], refused["revision"]) == (409, "admin token", first["revision"])
    status, stored = await send(browser, "publish", definition=FLOW, baseVersion="0", revision=str(first["revision"]))
    assert (status, stored["version"], stored["warnings"], "definition" in stored) == (200, 1, [], False)
    assert (await api.get("/flows/greeting/draft")).status == 404
    status, refused = await send(browser, "publish", definition=FLOW, baseVersion="0")
    assert (status, refused["version"], refused["createdBy"]) == (409, 1, "admin token")
    status, refused = await send(browser, "publish", definition=FLOW | {"edges": []}, baseVersion="1")
    assert (status, [one["nodeId"] for one in refused["errors"]]) == (422, ["hello"])
    _, second = await send(browser, "draft", definition=FLOW, baseVersion="1")
    status, done = await send(browser, "draft/discard", revision=str(second["revision"]))
    assert (status, done["deleted"]) == (200, True)


async def test_what_is_sent_is_checked(browser: Browser) -> None:
    """Fields that are missing or no JSON, and a number that is none."""
    for path in ("check", "differences", "publish"):
        assert (await send(browser, path, definition="{"))[0] == 400, path
    assert (await send(browser, "draft"))[0] == 422
    assert (await send(browser, "draft", definition="[" * 100_000))[0] == 422
    status, refused = await send(browser, "draft", definition={}, revision="x")
    assert (status, refused["errors"][0]["field"]) == (422, "revision")
    assert (await send(browser, "test", request={"replies": 5}))[0] == 422


async def test_a_test_run_is_started(api: Api, browser: Browser) -> None:
    """Without a flow-runner it has not ended: 202 with its id."""
    status, run = await send(browser, "test", request={"definition": FLOW, "timeoutMs": 0})
    assert (status, run["status"]) == (202, "running")
    assert (await api.get(f"/flows/greeting/test/{run['id']}")).status == 202


async def test_tests_are_saved_run_and_deleted(api: Api, browser: Browser) -> None:
    test = {"request": {"replies": ["1"]}, "expect": {"status": "succeeded"}}
    status, saved = await send(browser, "tests", name="menu", test=test)
    assert (status, saved["name"], saved["request"]) == (200, "menu", {"replies": ["1"]})
    page = await browser.open("/flows/greeting/edit/tests")
    assert [one["name"] for one in json.loads(page.html)] == ["menu"]
    assert (await send(browser, "tests", name="a/b", test=test))[0] == 422
    assert (await send(browser, "tests/run", definition=FLOW | {"edges": []}))[0] == 422
    status, _ = await send(browser, "publish", definition=FLOW, baseVersion="0", skipTests="true")
    assert status == 200
    assert (await send(browser, "tests/delete", name="menu"))[0] == 200
    assert (await api.get("/flows/greeting/tests")).data == []
    assert (await send(browser, "tests/run", definition=FLOW)) == (200, [])


async def test_a_viewer_may_only_compare(api: Api, viewer: Browser) -> None:
    await api.put("/flows/greeting", FLOW)
    assert (await send(viewer, "differences", definition=FLOW))[0] == 200
    for path in ("check", "draft", "draft/discard", "publish"):
        assert (await send(viewer, path, definition=FLOW))[0] == 403, path
    assert (await send(viewer, "test", request={}))[0] == 403


async def test_a_script_without_a_session_gets_no_answer(api: Api) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"{api.url}/dashboard/flows/greeting/edit/check"
        async with session.post(url, data={"definition": "{}"}, allow_redirects=False) as answer:
            assert answer.status in (303, 401, 403)
