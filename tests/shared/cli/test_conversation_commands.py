"""`filas conversations`: the list, and one conversation as a thread."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.ingest.api.serving import Api, serving
from tests.ingest.api.test_conversations import answered, conversation, said
from tests.shared.cli.test_commands import asked


@pytest_asyncio.fixture
async def api(redis_url: str, postgres_dsn: str) -> AsyncIterator[Api]:
    """A running API."""
    async with serving(redis_url, postgres_dsn) as running:
        yield running


async def test_conversations_are_listed_and_shown(api: Api) -> None:
    """The thread has the oldest message first, with its delivery state, and then what the conversation waits for."""
    one = await conversation(api, "5511900000001")
    asking = await said(api, one, "pedido", 30)
    await answered(api, asking, one, "Qual é o número?", "waiting-input")
    listed = (await asked(api, "conversations", "list", "--contact", "(11) 90000-0001", "--text", "pedido")).out
    assert listed.splitlines()[1].split()[:3] == [str(one), "whatsapp", "5511900000001"]
    assert (await asked(api, "conversations", "list", "--channel", "sms")).out == "No conversations\n"
    assert (await asked(api, "conversations", "list", "--json")).json[0]["id"] == str(one)
    shown = (await asked(api, "conversations", "show", str(one), "--output", "wide")).out.splitlines()
    assert shown[0] == "5511900000001 over whatsapp"
    assert [line.split()[1:] for line in shown[2:4]] == [
        ["<-", "-", "pedido"],
        ["->", "queued", "Qual", "é", "o", "número?"],
    ]
    assert shown[4].startswith(f"{asking} (welcome) is waiting-input at ask, until ")
    assert len((await asked(api, "conversations", "show", str(one), "--limit", "1", "--json")).json["messages"]) == 1
    assert (await asked(api, "conversations", "show", str(asking))).code == 1
