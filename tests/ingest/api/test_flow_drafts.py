"""The drafts of flows: saved with a revision, replaced by one editor at a time, deleted by publishing."""

import asyncio
from typing import Any

from tests.ingest.api.serving import FLOW, Api, fields_of
from tests.ingest.api.test_flow_conflicts import key_of

HALF: dict[str, Any] = {"nodes": [{"id": "a", "type": "not yet"}], "edges": "none", "ours": {"zoom": 2}}


async def save(api: Api, definition: Any, revision: int, token: str | None = None, **more: Any) -> Any:
    body = {"definition": definition, "revision": revision, **more}
    given = {} if token is None else {"token": token}
    return await api.put("/flows/greeting/draft", body, **given)


async def test_a_draft_is_kept_as_it_is(api: Api) -> None:
    """Also one that is no valid flow, of a flow that is not stored. No version is made, and nothing is audited."""
    assert (await api.get("/flows/greeting/draft")).status == 404
    ana = await key_of(api, "Ana")
    saved = await save(api, HALF, 0, ana, baseVersion=3)
    assert saved.status == 200, saved.text
    assert (saved.data["definition"], saved.data["baseVersion"], saved.data["savedBy"]) == (HALF, 3, "Ana")
    assert (await api.get("/flows/greeting/draft")).data == saved.data
    again = await save(api, {}, saved.data["revision"], ana)
    assert again.data["revision"] > saved.data["revision"]
    assert (await api.get("/flows/greeting")).status == 404
    assert (await api.get("/audit?subject=flows/greeting")).data == []


async def test_a_draft_saved_meanwhile_is_a_conflict(api: Api) -> None:
    """The answer names who saved it and when. The draft stays."""
    ana, bia = await key_of(api, "Ana"), await key_of(api, "Bia")
    first = (await save(api, HALF, 0, ana)).data["revision"]
    second = (await save(api, FLOW, first, bia)).data
    for revision in (0, first, second["revision"] + 1):
        refused = await save(api, {}, revision, ana)
        assert (refused.status, refused.json["savedBy"]) == (409, "Bia")
        assert (refused.json["revision"], refused.json["savedAt"]) == (second["revision"], second["savedAt"])
        assert "another draft was saved meanwhile (Bia, " in refused.json["detail"]
    assert (await api.get("/flows/greeting/draft")).data == second


async def test_of_several_editors_one_saves(api: Api) -> None:
    """The first draft, and the next one."""
    answers = await asyncio.gather(*(save(api, {"n": number}, 0) for number in range(4)))
    assert sorted(one.status for one in answers) == [200, 409, 409, 409]
    revision = (await api.get("/flows/greeting/draft")).data["revision"]
    answers = await asyncio.gather(*(save(api, {"n": number}, revision) for number in range(4)))
    assert sorted(one.status for one in answers) == [200, 409, 409, 409]


async def test_an_editor_does_not_revive_a_deleted_draft(api: Api) -> None:
    """And no editor overwrites a draft that was begun after the one that it knows."""
    old = (await save(api, HALF, 0)).data["revision"]
    assert (await api.delete("/flows/greeting/draft?revision=1")).status == 409
    assert (await api.delete(f"/flows/greeting/draft?revision={old}")).data["deleted"]
    assert (await api.delete("/flows/greeting/draft")).status == 404
    gone = await save(api, HALF, old)
    assert (gone.status, "published or deleted meanwhile" in gone.json["detail"]) == (409, True)
    new = await save(api, FLOW, 0)
    assert new.status == 200
    assert (await save(api, HALF, old)).status == 409
    assert (await api.get("/flows/greeting/draft")).data == new.data


async def test_publishing_deletes_the_draft_that_was_published(api: Api) -> None:
    """With its revision. A draft that was saved after it stays."""
    old = (await save(api, FLOW, 0)).data["revision"]
    assert (await api.put(f"/flows/greeting?draftRevision={old}", FLOW)).status == 200
    assert (await api.get("/flows/greeting/draft")).status == 404
    newer = (await save(api, HALF, 0)).data["revision"]
    assert (await api.put(f"/flows/greeting?draftRevision={old}", FLOW | {"name": "Two"})).status == 200
    assert (await api.put("/flows/greeting", FLOW | {"name": "Three"})).status == 200
    assert (await api.get("/flows/greeting/draft")).data["revision"] == newer
    refused = await api.put(f"/flows/greeting?draftRevision={newer}", FLOW | {"edges": []})
    assert refused.status == 422
    assert (await api.get("/flows/greeting/draft")).status == 200


async def test_a_draft_is_deleted_with_its_flow(api: Api) -> None:
    await api.put("/flows/greeting", FLOW)
    await save(api, HALF, 0)
    assert (await api.delete("/flows/greeting")).status == 200
    assert (await api.get("/flows/greeting/draft")).status == 404


async def test_a_draft_is_an_object_of_at_most_1_mib(api: Api) -> None:
    assert fields_of(await save(api, [], 0)) == ["definition"]
    assert fields_of(await save(api, {"text": "x" * 2**20}, 0)) == ["definition"]
    assert fields_of(await save(api, {}, -1)) == ["revision"]
    assert (await save(api, {"text": "x" * (2**20 - 20)}, 0)).status == 200
    assert (await api.put("/flows/a b/draft", {"definition": {}})).status == 422
