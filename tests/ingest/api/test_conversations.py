"""Conversations: found by an address however it is typed, by channel and by words; shown as one thread."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from filas.contacts.typed_contact import last_digits, possible_aliases
from filas.contract.identity import new_id
from filas.models.contacts import FoundConversation, ReportedContact
from filas.repository.contacts.contact_repository import ContactRepository
from filas.repository.conversations import conversation_repository
from filas.repository.definitions.flows import FlowRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from tests.ingest.api.seeding import attempted
from tests.ingest.api.serving import Api, fields_of
from tests.shared.repository.builders import checkpoint, execution, notification, step

NOW = datetime.now(UTC)


async def conversation(api: Api, address: str, channel: str = "whatsapp", medium: str | None = None) -> UUID:
    """A new conversation of a contact."""
    medium = medium or ("whatsapp" if channel == "whatsapp" else None)
    report = ReportedContact(channel=channel, address=address, medium=medium, sends_to=address)
    [found] = await ContactRepository(api.database).find_many([report])
    assert isinstance(found, FoundConversation)
    return found.id


async def said(api: Api, conversation_id: UUID, text: str, ago_s: float = 0.0, **changes: Any) -> UUID:
    """A message of the contact, with the execution that it started."""
    await FlowRepository(api.database).store("welcome", {"nodes": [], "settings": {}}, "Welcome", True)
    row = await api.database.fetchrow("select channel, contact from conversations where id = $1", conversation_id)
    assert row is not None
    trigger = json.dumps(
        {"webhook": {"body": {"hidden": "word"}}, "message": {"id": "1", "kind": "text", "text": text}},
        ensure_ascii=False,
    )
    one = execution(**dict(row), conversation_id=conversation_id, trigger=trigger, **changes)
    await ExecutionRepository(api.database).start_many([(one.event_id, [one])])
    at = NOW - timedelta(seconds=ago_s)
    await api.database.fetch("update executions set queued_at = $2, carries_message = true where id = $1", one.id, at)
    return one.id


async def answered(api: Api, execution_id: UUID, conversation_id: UUID, text: str, status: str = "succeeded") -> UUID:
    """A message that the execution sends; the execution then has the status."""
    await api.database.fetch("update executions set carries_message = false where id = $1", execution_id)
    claimed = await api.context.executions.claim(execution_id, 1, "a-worker", 30)
    assert claimed is not None
    sent = notification(
        execution_id, 1, conversation_id=conversation_id, payload={"type": "text", "text": text}, channel_id="whatsapp"
    )
    waits = status.startswith("waiting")
    written = checkpoint(
        claimed,
        status,
        steps=[step(1, node_id="ask", status="waiting" if waits else "succeeded")],
        notifications=[sent],
        wake_at=NOW + timedelta(hours=1) if waits else None,
    )
    await api.context.executions.checkpoint_many([written])
    await api.database.fetch("update executions set carries_message = true where id = $1", execution_id)
    return sent.id


async def found(api: Api, **params: str) -> list[str]:
    """The contacts of the conversations of a search."""
    return [item["contact"] for item in (await api.get("/conversations", params=params)).data]


TYPED = {
    "as the provider reports it": "5511987650001",
    "with country code and punctuation": "+55 (11) 98765-0001",
    "with 00": "0055 11 98765 0001",
    "without the ninth digit": "+55 11 8765-0001",
    "without the country code": "(11) 98765-0001",
    "with the trunk digit": "011 98765-0001",
    "without country code and ninth digit": "11 8765-0001",
    "without the area": "98765-0001",
    "with dots": "11.98765.0001",
    "as Twilio writes it": "whatsapp:+5511987650001",
    "as a WhatsApp id": "5511987650001@s.whatsapp.net",
}


async def test_a_contact_is_found_however_its_address_is_typed(api: Api) -> None:
    """Numbers in every form, names of e-mail without case, ids exactly."""
    await conversation(api, "5511987650001")
    await conversation(api, "5511900000002")
    await conversation(api, "Maria@example.com", channel="email", medium="email")
    await conversation(api, "123456789", channel="telegram", medium="telegram")
    for case, typed in TYPED.items():
        assert await found(api, contact=typed) == ["5511987650001"], case
    assert await found(api, contact="maria@EXAMPLE.com") == ["Maria@example.com"]
    assert await found(api, contact="123456789") == ["123456789"]
    for typed in ("98765-0002", "0001", "%", "maria", "5511987650001 or"):
        assert await found(api, contact=typed) == [], typed
    assert await found(api, contact="5511987650001", channel="telegram") == []


@pytest.mark.parametrize(
    ("typed", "digits"),
    [
        pytest.param("8765-0001", ["87650001"], id="a local number"),
        pytest.param("650001", [], id="too short"),
        pytest.param("order 98765001", [], id="not only a number"),
        pytest.param("11 8765-0001", ["1187650001", "11987650001"], id="a Brazilian mobile without its ninth digit"),
        pytest.param("11 3765-0001", ["1137650001"], id="a Brazilian landline has no ninth digit"),
        pytest.param("（11）98765‑0001", ["11987650001"], id="punctuation of other scripts"),  # noqa: RUF001
    ],
)
def test_the_last_digits_of_a_number(typed: str, digits: list[str]) -> None:
    assert last_digits(typed) == digits


def test_an_address_has_a_form_for_each_medium() -> None:
    assert possible_aliases(" Maria@Example.com ") == ["Maria@Example.com", "maria@example.com"]


async def test_conversations_are_listed_by_their_newest_execution(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, in pages, although a statement examines few executions; also over one channel."""
    monkeypatch.setattr(conversation_repository, "WINDOW", 3)
    for number in range(5):
        one = await conversation(api, f"551190000000{number}", channel="whatsapp" if number % 2 else "sms")
        for ago_s in (number, 100 + number, 200 + number):
            await said(api, one, "oi", ago_s)
    expected = [f"551190000000{number}" for number in range(5)]
    assert await found(api) == expected
    assert await found(api, channel="sms") == expected[::2]
    pages: list[list[str]] = []
    cursor = None
    while len(pages) < 10:
        params = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        answer = await api.get("/conversations", params=params)
        pages.append([item["contact"] for item in answer.data])
        cursor = answer.json["nextCursor"]
        if cursor is None:
            break
    assert [contact for page in pages for contact in page] == expected
    by_contact = await api.get("/conversations", params={"contact": "5511900000003", "limit": "1"})
    assert (len(by_contact.data), by_contact.json["nextCursor"]) == (1, None)


async def test_conversations_are_found_by_the_words_of_a_message(api: Api) -> None:
    """Of incoming and outgoing ones; all words in one message; not by other parts of the event."""
    first, second = await conversation(api, "5511900000001"), await conversation(api, "5511900000002")
    asking = await said(api, first, "Onde está o meu pedido?", 10)
    await answered(api, asking, first, 'Saiu para "entrega"')
    await said(api, second, "Quero um pedido novo", 5)
    assert await found(api, text="pedido") == ["5511900000002", "5511900000001"]
    assert await found(api, text="PEDIDO meu") == ["5511900000001"]
    assert await found(api, text='"entrega"') == ["5511900000001"]
    assert await found(api, text="entrega", contact="900000001") == ["5511900000001"]
    assert await found(api, text="ONDE ESTA") == ["5511900000001"]
    third = await conversation(api, "5511900000003")
    await said(api, third, "AMANHÃ não, na terc\u0327a! ПРИВЕТ Größe", 1)
    for text in ("amanha", "amanhã", "Nao", "terça", "TERCA amanha", "привет", "größe", "GROSSE", "na terca! привет"):
        assert await found(api, text=text) == ["5511900000003"], text
    for text in ("hidden", "word", "message", "novo entrega", "pedidos"):
        assert await found(api, text=text) == [], text


async def test_a_search_ends_in_time_and_continues_with_its_cursor(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it never meets the statement timeout, whatever it looks for."""
    monkeypatch.setattr(conversation_repository, "SEARCH_S", 0.0)
    monkeypatch.setattr(conversation_repository, "COMPARED_TOGETHER", 1)
    for number in range(3):
        one = await conversation(api, f"551190000000{number}")
        await said(api, one, "sim" if number == 2 else "oi", number)
    contacts, cursor, pages = [], None, 0
    while pages < 10:
        params = {"text": "sim", **({"cursor": cursor} if cursor else {})}
        answer = await api.get("/conversations", params=params)
        contacts += [item["contact"] for item in answer.data]
        cursor, pages = answer.json["nextCursor"], pages + 1
        if cursor is None:
            break
    assert contacts == ["5511900000002"]
    assert pages > 2


async def test_a_conversation_is_one_thread_with_delivery_states(api: Api) -> None:
    """Incoming and outgoing messages in one list, the newest first, in pages; executions and open waits."""
    one = await conversation(api, "5511900000001")
    greeting = await said(api, one, "oi", 60)
    sent = await answered(api, greeting, one, "Olá!")
    await attempted(api, sent, succeeds=True)
    asking = await said(api, one, "pedido", 30)
    await answered(api, asking, one, "Qual é o número?", "waiting-input")
    shown = (await api.get(f"/conversations/{one}")).data
    assert (shown["channel"], shown["contact"], shown["address"]) == ("whatsapp", "5511900000001", "5511900000001")
    messages = shown["messages"]
    assert {(item["direction"], item["text"], item["status"]) for item in messages} == {
        ("incoming", "oi", None),
        ("outgoing", "Olá!", "sent"),
        ("incoming", "pedido", None),
        ("outgoing", "Qual é o número?", "queued"),
    }
    assert [item["at"] for item in messages] == sorted((item["at"] for item in messages), reverse=True)
    by_text = {item["text"]: item for item in messages}
    assert by_text["oi"]["executionId"] == by_text["Olá!"]["executionId"] == str(greeting)
    assert (by_text["oi"]["kind"], by_text["oi"]["content"]["id"], by_text["Olá!"]["attempts"]) == ("text", "1", 1)
    assert [item["id"] for item in shown["executions"]] == [str(asking), str(greeting)]
    [wait] = shown["waits"]
    assert (wait["executionId"], wait["status"], wait["nodeId"]) == (str(asking), "waiting-input", "ask")
    assert wait["wakeAt"] is not None
    paged: list[Any] = []
    cursor = None
    for _ in range(4):
        params = {"limit": "1", **({"cursor": cursor} if cursor else {})}
        answer = await api.get(f"/conversations/{one}", params=params)
        paged += answer.data["messages"]
        cursor = answer.json["nextCursor"]
    assert paged == messages
    assert cursor is None


async def test_a_merged_conversation_shows_all_messages_under_either_id(api: Api) -> None:
    """And is listed once."""
    one, other = await conversation(api, "5511900000001"), await conversation(api, "user-1")
    await said(api, one, "first", 60)
    await said(api, other, "second", 30)
    report = ReportedContact(channel="whatsapp", address="5511900000001", aliases=("user-1",), medium="whatsapp")
    await api.database.fetch("update executions set status = 'succeeded', ended_at = now(), ready_at = null")
    [kept] = await ContactRepository(api.database).find_many([report])
    assert isinstance(kept, FoundConversation)
    for conversation_id in (one, other):
        shown = (await api.get(f"/conversations/{conversation_id}")).data
        assert shown["id"] == str(kept.id)
        assert [item["text"] for item in shown["messages"]] == ["second", "first"]
    listed = (await api.get("/conversations")).data
    assert [item["id"] for item in listed] == [str(kept.id)]
    assert [item["id"] for item in (await api.get("/conversations", params={"text": "first"})).data] == [str(kept.id)]
    assert listed[0]["lastExecutionAt"] is not None


async def test_an_unknown_conversation_and_wrong_parameters(api: Api) -> None:
    assert (await api.get(f"/conversations/{new_id()}")).status == 404
    assert (await api.get("/conversations/abc")).status == 404
    assert fields_of(await api.get("/conversations", params={"cursor": "abc"})) == ["cursor"]
    assert fields_of(await api.get("/conversations", params={"phone": "1"})) == ["phone"]
