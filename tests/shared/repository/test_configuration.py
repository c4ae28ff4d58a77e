"""Webhooks, channels, secrets, pauses: what an operator puts is what every process finds."""

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
    """A repository of configuration with its builder: all of them keep the same promises."""
    return {
        "webhooks": (WebhookRepository(database), webhook),
        "channels": (ChannelRepository(database), channel),
    }[request.param]


async def test_what_is_put_is_got(family: Family) -> None:
    """And a second put replaces it, under the time at which it was made."""
    rows, build = family
    first = await rows.store(build("a", config={"url": "https://a.example", "nul": "\x00"}))
    assert await rows.get("a") == first
    assert first.config == {"url": "https://a.example", "nul": "\x00"}
    second = await rows.store(build("a", config={}))
    assert second.config == {}
    assert second.created_at == first.created_at
    assert second.revision > first.revision
    assert await rows.get("b") is None


async def test_what_is_deleted_is_gone_and_may_come_back(family: Family) -> None:
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
    """A cache asks from the last revision that it knows: what was put, what was deleted, nothing twice."""
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
    """A slow change holds back the later ones, so that a cache never passes a revision by."""
    rows, build = family
    async with database.transaction() as slow:
        await slow.execute("update configuration_revision set revision = revision + 1")
        put = asyncio.create_task(rows.store(build("later")))
        for _ in range(3):
            assert await rows.changed_since(0) == ([], [], 0)
        assert not put.done()
    assert (await put).revision == 2


async def test_a_list_goes_page_by_page(family: Family) -> None:
    """Every row once, in the order of the ids; a foreign cursor is refused."""
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
    """Another one with it is a Conflict, until the first has been deleted."""
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
    """The mark that caches need says nothing more."""
    await WebhookRepository(database).store(webhook("a"))
    await ChannelRepository(database).store(channel("a"))
    await WebhookRepository(database).delete("a")
    await ChannelRepository(database).delete("a")
    for table in ("webhooks", "channels"):
        assert "enc:" not in str(await database.fetchrow(f"select * from {table}"))


async def test_secrets_are_kept_by_name(database: Database) -> None:
    """A second put replaces the value."""
    rows = SecretRepository(database)
    await rows.store("crm", "enc:1")
    await rows.store("crm", "enc:2")
    await rows.store("api", "env:API")
    assert await rows.names() == ["api", "crm"]
    assert await rows.all() == {"api": "env:API", "crm": "enc:2"}
    assert await rows.delete("crm")
    assert not await rows.delete("crm")


async def test_queues_are_paused_and_resumed(database: Database) -> None:
    """Each change says whether it was one."""
    rows = PauseRepository(database)
    assert await rows.pause("notifications")
    assert not await rows.pause("notifications")
    assert await rows.all() == {"notifications"}
    assert await rows.resume("notifications")
    assert not await rows.resume("notifications")
    assert await rows.all() == set()
