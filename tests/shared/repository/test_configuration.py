"""Webhooks, channels, secrets and pauses: every process reads what an operator has stored."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from filas.errors import Conflict, InvalidCursor
from filas.models.configuration import ConversationRule, Dedupe, RateLimit
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.definitions.flow_secrets import SecretRepository
from filas.repository.definitions.webhooks import WebhookRepository
from filas.repository.pauses import PauseRepository
from filas.repository.postgres.database import Database
from tests.shared.repository.builders import channel, webhook

Family = tuple[Any, Callable[..., Any]]


@pytest.fixture(params=["webhooks", "channels"])
def family(request: pytest.FixtureRequest, database: Database) -> Family:
    """Returns a repository of definitions and its builder. All of them pass the same tests."""
    return {
        "webhooks": (WebhookRepository(database), webhook),
        "channels": (ChannelRepository(database), channel),
    }[request.param]


async def test_a_stored_definition_is_read(family: Family) -> None:
    """Storing it again replaces it and keeps the time of its creation."""
    rows, build = family
    first = await rows.store(build("a", config={"url": "https://a.example", "nul": "\x00"}))
    assert await rows.get("a") == first
    assert first.config == {"url": "https://a.example", "nul": "\x00"}
    second = await rows.store(build("a", config={}))
    assert second.config == {}
    assert second.created_at == first.created_at
    assert second.revision > first.revision
    assert await rows.get("b") is None


async def test_a_deleted_definition_can_be_stored_again(family: Family) -> None:
    """A deletion is reported once."""
    rows, build = family
    await rows.store(build("a"))
    assert await rows.delete("a")
    assert not await rows.delete("a")
    assert await rows.get("a") is None
    assert (await rows.list()).items == []
    again = await rows.store(build("a"))
    assert await rows.get("a") == again


async def test_changes_are_found_by_their_revision(family: Family) -> None:
    """A cache asks for the rows after its last revision: it gets stored and deleted rows, each once."""
    rows, build = family
    assert await rows.changed_since(0) == ([], [], 0)
    for name in ("a", "b"):
        await rows.store(build(name))
    changed, deleted, revision = await rows.changed_since(0)
    assert [row.id for row in changed] == ["a", "b"]
    assert deleted == []
    assert await rows.changed_since(revision) == ([], [], revision)
    await rows.delete("a")
    await rows.delete("absent")
    changed, deleted, newer = await rows.changed_since(revision)
    assert (changed, deleted) == ([], ["a"])
    assert newer > revision


async def test_no_change_is_overtaken_by_a_later_revision(family: Family, database: Database) -> None:
    """A slow change delays the later ones, so that a cache never misses a revision."""
    rows, build = family
    async with database.transaction() as slow:
        await slow.execute("update configuration_revision set revision = revision + 1")
        stored = asyncio.create_task(rows.store(build("later")))
        for _ in range(3):
            assert await rows.changed_since(0) == ([], [], 0)
        assert not stored.done()
    assert (await stored).revision == 2


async def test_a_list_has_pages(family: Family) -> None:
    """Every row appears once, in the order of the ids. A foreign cursor is rejected."""
    rows, build = family
    names = [f"row-{number}" for number in range(5)]
    for name in reversed(names):
        await rows.store(build(name))
    seen: list[str] = []
    cursor = None
    while True:
        page = await rows.list(cursor, 2)
        seen += [row.id for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == names
    for broken in ("", "%%%", "bm9uc2Vuc2U"):
        with pytest.raises(InvalidCursor):
            await rows.list(broken or "=", 2)


async def test_a_webhook_keeps_all_its_fields(database: Database) -> None:
    """The nested ones too."""
    rows = WebhookRepository(database)
    whole = webhook(
        methods=["POST", "PUT"],
        rate_limit=RateLimit(max=5, window_ms=1000),
        dedupe=Dedupe(header="x-id"),
        conversation=ConversationRule(channel="c", contact="{{ body.from }}"),
        enabled=False,
    )
    stored = await rows.store(whole)
    for field in ("methods", "rate_limit", "dedupe", "conversation", "auth", "enabled", "max_body_bytes", "path"):
        assert getattr(stored, field) == getattr(whole, field)


async def test_a_path_belongs_to_one_webhook(database: Database) -> None:
    """A second webhook with the same path is a Conflict until the first is deleted."""
    rows = WebhookRepository(database)
    await rows.store(webhook("a", path="shared"))
    with pytest.raises(Conflict, match="path"):
        await rows.store(webhook("b", path="shared"))
    assert await rows.get("b") is None
    await rows.store(webhook("a", path="shared"))
    await rows.delete("a")
    await rows.store(webhook("b", path="shared"))
    with pytest.raises(Conflict, match="path"):
        await rows.store(webhook("a", path="shared"))


async def test_a_deletion_leaves_no_secret_behind(database: Database) -> None:
    """The row that caches need holds only the id."""
    await WebhookRepository(database).store(webhook("a"))
    await ChannelRepository(database).store(channel("a"))
    await WebhookRepository(database).delete("a")
    await ChannelRepository(database).delete("a")
    for table in ("webhooks", "channels"):
        assert "enc:" not in str(await database.fetchrow(f"select * from {table}"))


async def test_secrets_are_stored_by_name(database: Database) -> None:
    """Storing one again replaces the value."""
    rows = SecretRepository(database)
    await rows.store("crm", "enc:1")
    await rows.store("crm", "enc:2")
    await rows.store("api", "env:API")
    assert await rows.names() == ["api", "crm"]
    assert await rows.all() == {"api": "env:API", "crm": "enc:2"}
    assert await rows.delete("crm")
    assert not await rows.delete("crm")


async def test_queues_are_paused_and_resumed(database: Database) -> None:
    """Each call returns whether it changed anything."""
    rows = PauseRepository(database)
    assert await rows.pause("notifications")
    assert not await rows.pause("notifications")
    assert await rows.all() == {"notifications"}
    assert await rows.resume("notifications")
    assert not await rows.resume("notifications")
    assert await rows.all() == set()
