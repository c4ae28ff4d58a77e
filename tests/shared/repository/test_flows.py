"""The versions of a flow are immutable, numbered without gaps, and published on request."""

import asyncio

import pytest

from filas.errors import Conflict
from filas.models.configuration import FlowSummary
from filas.repository.definitions.flows import FlowRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.postgres.database import Database
from tests.shared.repository.builders import checkpoint, claimed

DRAFT = {"nodes": [{"id": "a", "text": "\x00 \ud800"}], "edges": []}


async def test_a_changed_definition_is_a_new_version(database: Database) -> None:
    """The old version is kept. `get` returns the published version, otherwise the newest."""
    flows = FlowRepository(database)
    first = await flows.store("f", DRAFT, "F", publish=False)
    assert (first.version, first.published, first.definition) == (1, False, DRAFT)
    assert await flows.published_version("f") is None
    assert await flows.get("f") == first
    second = await flows.store("f", DRAFT | {"edges": [1]}, "F", publish=True)
    assert (second.version, second.published) == (2, True)
    third = await flows.store("f", DRAFT | {"edges": [1.0]}, "F", publish=False)
    assert third.version == 3
    assert await flows.get("f") == second
    assert await flows.get("f", 1) == first
    assert await flows.get("f", 9) is None
    assert await flows.get("none") is None
    assert [version.version for version in (await flows.versions("f")).items] == [3, 2, 1]
    assert await flows.published_version("f") == 2


async def test_an_unchanged_definition_is_the_same_version(database: Database) -> None:
    """The order of keys is no change. Storing it again may publish it. A new name is a change."""
    flows = FlowRepository(database)
    first = await flows.store("f", {"a": 1, "b": 2}, "F", publish=False)
    again = await flows.store("f", {"b": 2, "a": 1}, "F", publish=True)
    assert (again.version, again.created_at, again.published) == (1, first.created_at, True)
    assert (await flows.store("f", {"a": 1, "b": 2}, "G", publish=False)).version == 2
    assert (await flows.store("f", {"a": True, "b": 2}, "G", publish=False)).version == 3


async def test_concurrent_calls_number_versions_without_gaps(database: Database) -> None:
    """Two authors store two versions."""
    flows = FlowRepository(database)
    made = await asyncio.gather(*(flows.store("f", {"n": number}, "F", publish=True) for number in range(6)))
    assert sorted(version.version for version in made) == [1, 2, 3, 4, 5, 6]
    assert len([version for version in (await flows.versions("f")).items if version.published]) == 1


async def test_the_list_shows_each_flow_once(database: Database) -> None:
    """With its newest and its published version."""
    flows = FlowRepository(database)
    for name in ("b", "a", "c"):
        await flows.store(name, {"n": 1}, name.upper(), publish=True)
    await flows.store("a", {"n": 2}, "A2", publish=False)
    page = await flows.list(None, 2)
    assert [flow.id for flow in page.items] == ["a", "b"]
    assert isinstance(page.items[0], FlowSummary)
    assert (page.items[0].name, page.items[0].latest_version, page.items[0].published_version) == ("A2", 2, 1)
    assert [flow.id for flow in (await flows.list(page.next_cursor, 2)).items] == ["c"]


async def test_a_flow_with_unfinished_executions_is_not_deleted(database: Database, published: str) -> None:
    """It can be deleted when they have ended. The executions are kept."""
    flows, executions = FlowRepository(database), ExecutionRepository(database)
    held = await claimed(database)
    with pytest.raises(Conflict):
        await flows.delete(published)
    assert await executions.checkpoint_many([checkpoint(held, "succeeded")]) == ["succeeded"]
    assert await flows.delete(published)
    assert not await flows.delete(published)
    assert (await flows.versions(published)).items == []
    assert await executions.get(held.id) is not None
