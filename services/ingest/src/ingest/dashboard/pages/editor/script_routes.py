"""What the scripts of the flow editor send to the server. Each answer is JSON, and so is each problem."""

import json
from typing import Any, Final

import msgspec

from ingest.api.routing.problems import invalid_field
from ingest.dashboard.page_types import Json, PageCall, PageRoute


async def check(call: PageCall) -> Json:
    """Answers `errors`, `warnings` and `scopes` of the field `definition`; with `nodeId`, the scope of that node."""
    query = {"nodeId": call.form.get("nodeId")}
    return await _answer(call, "checkFlow", query=query, body=_raw(call, "definition"))


async def compare(call: PageCall) -> Json:
    """Answers the differences of the field `definition` from the published version."""
    return await _answer(call, "compareFlowDefinition", body=_raw(call, "definition"))


async def save_draft(call: PageCall) -> Json:
    """Saves the field `definition` as the draft that replaces `revision`, and answers the new revision."""
    call.api.require("putFlowDraft")
    body = {
        "definition": _json(call, "definition"),
        "revision": _number(call, "revision"),
        "baseVersion": _number(call, "baseVersion"),
    }
    saved = (await call.api.call("putFlowDraft", path={"id": call.path["id"]}, body=body)).data
    return Json({"revision": saved.revision, "savedAt": msgspec.to_builtins(saved.saved_at)})


async def discard_draft(call: PageCall) -> Json:
    """Deletes the draft of this `revision`."""
    return await _answer(call, "deleteFlowDraft", query={"revision": call.form.get("revision")})


async def publish(call: PageCall) -> Json:
    """Publishes the field `definition`, which is based on `baseVersion`, and deletes the draft of `revision`.

    Without `skipTests` (`true`), the saved tests of the flow are run first.
    """
    query = {
        "ifVersion": _number(call, "baseVersion"),
        "draftRevision": _number(call, "revision") or None,
        "skipTests": call.form.get("skipTests"),
    }
    stored = await call.api.call("putFlow", path={"id": call.path["id"]}, query=query, body=_raw(call, "definition"))
    shown = msgspec.to_builtins(stored.data)
    return Json({name: value for name, value in shown.items() if name != "definition"})


async def test(call: PageCall) -> Json:
    """Runs the test of the field `request`, and answers its trace; with status 202 if it has not ended yet."""
    answer = await call.api.call("testFlow", path={"id": call.path["id"]}, body=_raw(call, "request"))
    return Json(msgspec.to_builtins(answer.data), 200 if answer.done else 202)


async def list_tests(call: PageCall) -> Json:
    """Answers the saved tests of the flow."""
    return await _answer(call, "listFlowTests")


async def save_test(call: PageCall) -> Json:
    """Saves the field `test` (`request` and `expect`) under the field `name`."""
    path = {"id": call.path["id"], "name": call.form.get("name", "")}
    saved = await call.api.call("putSavedTest", path=path, body=_raw(call, "test"))
    return Json(msgspec.to_builtins(saved.data))


async def delete_test(call: PageCall) -> Json:
    """Deletes the saved test of the field `name`."""
    path = {"id": call.path["id"], "name": call.form.get("name", "")}
    return Json(msgspec.to_builtins((await call.api.call("deleteSavedTest", path=path)).data))


async def run_tests(call: PageCall) -> Json:
    """Runs the saved tests with the field `definition`, and answers how each ended."""
    call.api.require("runSavedTests")
    return await _answer(call, "runSavedTests", body={"definition": _json(call, "definition")})


async def _answer(call: PageCall, operation: str, *, query: dict[str, Any] | None = None, body: Any = None) -> Json:
    answer = await call.api.call(operation, path={"id": call.path["id"]}, query=query, body=body)
    return Json(msgspec.to_builtins(answer.data))


def _raw(call: PageCall, field: str) -> bytes:
    return call.form.get(field, "").encode()


def _json(call: PageCall, field: str) -> Any:
    try:
        return json.loads(call.form.get(field, ""))
    except (ValueError, RecursionError):
        raise invalid_field(field, "is not JSON") from None


def _number(call: PageCall, field: str) -> int:
    """A number of the form; a missing one is 0."""
    text = call.form.get(field) or "0"
    if not (text.isascii() and text.isdigit()) or len(text) > 16:
        raise invalid_field(field, "is not a number")
    return int(text)


ROUTES: Final = (
    PageRoute("POST", "/flows/{id}/edit/check", check),
    PageRoute("POST", "/flows/{id}/edit/differences", compare),
    PageRoute("POST", "/flows/{id}/edit/draft", save_draft),
    PageRoute("POST", "/flows/{id}/edit/draft/discard", discard_draft),
    PageRoute("POST", "/flows/{id}/edit/publish", publish),
    PageRoute("POST", "/flows/{id}/edit/test", test),
    PageRoute("GET", "/flows/{id}/edit/tests", list_tests),
    PageRoute("POST", "/flows/{id}/edit/tests", save_test),
    PageRoute("POST", "/flows/{id}/edit/tests/delete", delete_test),
    PageRoute("POST", "/flows/{id}/edit/tests/run", run_tests),
)
