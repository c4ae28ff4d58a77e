"""The search box: what a typed text is, and what it finds."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from filas.contract.policies import WEBHOOKS
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.definitions.flows import FlowRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from tests.ingest.api.seeding import delayed_job
from tests.ingest.api.serving import Api
from tests.ingest.api.test_conversations import TYPED, conversation, said
from tests.shared.repository.builders import checkpoint, dead_letter, event, execution, notification, started


async def searched(api: Api, text: str, **params: Any) -> dict[str, Any]:
    """The answer for a text."""
    answer = await api.get("/search", params={"q": text, **params})
    assert answer.status == 200, answer.text
    return dict(answer.data)


async def test_an_id_leads_to_its_row(api: Api) -> None:
    """Whatever row has it, also in capital letters and without hyphens."""
    await FlowRepository(api.database).store("welcome", {"nodes": [], "settings": {}}, "Welcome", True)
    received = event()
    await api.context.events.insert_many([received])
    begun = await started(api.database, event_id=received.id)
    claimed = await ExecutionRepository(api.database).claim(begun.id, 1, "a-worker", 30)
    assert claimed is not None
    sent = notification(begun.id)
    await api.context.executions.checkpoint_many([checkpoint(claimed, notifications=[sent])])
    talk = await conversation(api, "5511987650001")
    await DeadLetterRepository(api.database).insert_many([dead_letter(WEBHOOKS.name, b"{}")])
    letter = await api.database.fetchval("select id from dead_letters")
    rows = {
        "event": received.id,
        "execution": begun.id,
        "notification": sent.id,
        "conversation": talk,
        "dead-letter": letter,
    }
    for kind, row_id in rows.items():
        for written in (str(row_id), str(row_id).upper(), row_id.hex, f"  {row_id} "):
            found = await searched(api, written)
            assert found["kind"] == "id"
            assert found["entities"] == [{"kind": kind, "id": str(row_id)}]


async def test_the_id_of_a_job_leads_to_the_job(api: Api) -> None:
    """An id that no queue knows is searched as words."""
    job_id = WEBHOOKS.job_id("one")
    await delayed_job(api, job_id)
    assert (await searched(api, job_id))["entities"] == [{"kind": "job", "id": job_id}]
    found = await searched(api, WEBHOOKS.job_id("unknown"))
    assert (found["kind"], found["entities"], found["events"]) == ("words", [], [])


@pytest.mark.parametrize("typed", TYPED.values(), ids=TYPED)
async def test_a_number_in_any_spelling_leads_to_its_conversation(api: Api, typed: str) -> None:
    """With and without country code, ninth digit and punctuation."""
    talk = await conversation(api, "5511987650001")
    await said(api, talk, "oi")
    found = await searched(api, typed)
    assert found["kind"] == "contact"
    assert [one["id"] for one in found["conversations"]] == [str(talk)]
    assert found["events"] == []


async def test_other_texts_are_words_of_events(api: Api) -> None:
    """In pages, the newest first. A definition and a contact with exactly this name are found beside them."""
    await FlowRepository(api.database).store("maria", {"nodes": [], "settings": {}}, "Maria", True)
    talk = await conversation(api, "maria", channel="console")
    now = datetime.now(UTC)
    rows = [event(body=b'{"name":"Maria"}', received_at=now - timedelta(minutes=n)) for n in range(3)]
    await api.context.events.insert_many([*rows, event(body=b'{"name":"Ana"}')])
    answer = await api.get("/search", params={"q": "maria", "limit": 2})
    assert answer.data["kind"] == "words"
    assert [one["id"] for one in answer.data["events"]] == [str(one.id) for one in rows[:2]]
    assert answer.data["entities"] == [{"kind": "flow", "id": "maria"}]
    assert [one["id"] for one in answer.data["conversations"]] == [str(talk)]
    more = await api.get("/search", params={"q": "maria", "limit": 2, "cursor": answer.json["nextCursor"]})
    assert [one["id"] for one in more.data["events"]] == [str(rows[2].id)]
    assert (more.data["entities"], more.data["conversations"], more.json["nextCursor"]) == ([], [], None)


async def test_an_unknown_id_or_number_is_searched_as_words(api: Api) -> None:
    """A body may contain it."""
    unknown = uuid4()
    row = event(body=f'{{"ref":"{unknown}","to":"5511900001111"}}'.encode())
    await api.context.events.insert_many([row])
    for text in (str(unknown), "5511900001111"):
        found = await searched(api, text)
        assert (found["kind"], [one["id"] for one in found["events"]]) == ("words", [str(row.id)])


async def test_conversations_come_in_pages(api: Api) -> None:
    """Two channels, one number."""
    one = await conversation(api, "5511987650001")
    other = await conversation(api, "5511987650001", channel="sms", medium="twilio")
    await said(api, one, "oi", 20)
    await said(api, other, "oi", 10)
    first = await api.get("/search", params={"q": "5511987650001", "limit": 1})
    second = await api.get("/search", params={"q": "5511987650001", "limit": 1, "cursor": first.json["nextCursor"]})
    ids = [item["id"] for answer in (first, second) for item in answer.data["conversations"]]
    assert ids == [str(other), str(one)]


async def test_an_empty_text_is_refused(api: Api) -> None:
    """The answer names the parameter."""
    answer = await api.get("/search", params={"q": "  "})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "q")
    assert (await api.get("/search")).status == 422


async def test_a_replayed_execution_is_found_by_its_own_id(api: Api) -> None:
    """`execution` is a row like any other."""
    await FlowRepository(api.database).store("welcome", {"nodes": [], "settings": {}}, "Welcome", True)
    one = execution()
    await api.context.executions.start_many([(one.event_id, [one])])
    assert (await searched(api, str(one.id)))["entities"] == [{"kind": "execution", "id": str(one.id)}]
