"""What a newer version has stored: this version leaves it to a newer flow-runner and changes nothing."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from filas.errors import NewerVersionRequired, PermanentError
from filas.models.configuration import FlowVersion
from flow_runner.engine import execution_state
from flow_runner.stores.compiled_flow_cache import CompiledFlowCache
from flow_runner.stores.execution_store import ExecutionRows, Executions
from tests.flow_runner.harness import Harness, chain, node

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HI = node("hi", "message", text="x")
NEWER_FLOWS = {
    "a node type": chain(node("q", "quantum", spin=1)),
    "a field of a node": chain(node("hi", "message", text="x", tone="polite")),
    "a value of an enumeration": chain(HI, variables=[{"name": "v", "scope": "galaxy"}]),
    "a schema version": chain(HI) | {"schemaVersion": 2},
    "a setting": chain(HI) | {"settings": {"maxCost": 1}},
    "a field of the flow": chain(HI) | {"policy": {}},
    "a filter": chain(node("hi", "message", text="{{ message.text | translate }}")),
    "a tag": chain(node("hi", "message", text="{% speak %}")),
    "an error besides": chain(node("q", "quantum"), node("d", "delay", ms="soon")),
}
INVALID_FLOWS = {
    "a wrong type": chain(node("d", "delay", ms="soon")),
    "a wrong type in an enumeration": chain(HI, variables=[{"name": "v", "scope": 7}]),
    "a missing field": chain(node("hi", "message")) | {"nodes": [{"type": "message", "data": {}}]},
    "no template": chain(node("hi", "message", text="{{ message.text | upcase")),
}
NEWER_STATES = {
    "a version": '{"version":4,"stack":["hi"]}',
    "a version of another shape": '{"version":4,"stack":{"hi":1}}',
    "a kind of frame": '{"version":2,"stack":["hi"],"frames":[{"kind":"parallel","node":"a"}]}',
    "a reason of a visit": '{"stack":["hi"],"pending":{"node":"hi","seq":1,"attempt":1,"reason":"vote",'
    '"started_at":"2026-11-22T12:00:00Z"}}',
}


class Stored:
    """The repository of flows: one version."""

    def __init__(self, definition: dict[str, Any]) -> None:
        self.definition = definition

    async def get(self, flow_id: str, version: int | None = None) -> FlowVersion | None:
        await asyncio.sleep(0)
        return FlowVersion(
            flow_id=flow_id, version=1, name="f", definition=self.definition, published=True, created_at=NOW
        )


@pytest.mark.parametrize("definition", NEWER_FLOWS.values(), ids=NEWER_FLOWS)
async def test_a_flow_of_a_newer_version_is_left_to_a_newer_worker(definition: dict[str, Any]) -> None:
    """Nothing of it is ignored, because the flow would then do something else."""
    with pytest.raises(NewerVersionRequired, match="newer version"):
        await CompiledFlowCache(Stored(definition)).get("f", 1)


@pytest.mark.parametrize("definition", INVALID_FLOWS.values(), ids=INVALID_FLOWS)
async def test_an_invalid_flow_is_a_permanent_error(definition: dict[str, Any]) -> None:
    """No version can run it."""
    with pytest.raises(PermanentError):
        await CompiledFlowCache(Stored(definition)).get("f", 1)


@pytest.mark.parametrize("text", NEWER_STATES.values(), ids=NEWER_STATES)
def test_a_state_of_a_newer_version_is_left_to_a_newer_worker(text: str) -> None:
    """It is not run from a part of its state."""
    with pytest.raises(NewerVersionRequired):
        execution_state.decode(text)


@pytest.mark.parametrize("text", ['{"stack":5}', "{", '{"version":2,"stack":["hi"],"frames":[{"kind":7}]}'])
def test_a_broken_state_is_a_permanent_error(text: str) -> None:
    """Also if its version is known."""
    with pytest.raises(PermanentError):
        execution_state.decode(text)


def test_a_field_that_a_newer_version_has_added_to_the_state_is_tolerated() -> None:
    """The version of the state shows whether an older engine can continue from it."""
    assert execution_state.decode('{"version":1,"stack":["hi"],"colour":"red"}').stack == ["hi"]


class NoOutbox:
    """Enqueues nothing."""

    async def enqueue(self, written: object) -> bool:
        return True

    async def enqueue_runs(self, due: object) -> None:
        await asyncio.sleep(0)

    async def enqueue_notifications(self, notifications: object) -> None:
        """There are none."""


async def test_the_lease_of_an_execution_of_a_newer_version_ends_at_once() -> None:
    """The newer worker need not wait until it expires."""
    harness = Harness()
    rows: Any = harness.rows
    released: list[tuple[Sequence[tuple[UUID, int]], float]] = []

    async def renew(held: Sequence[tuple[UUID, int]], lease_s: float) -> set[UUID]:
        released.append((held, lease_s))
        return set()

    rows.renew = renew
    row = harness.rows.add()
    row_store: ExecutionRows = rows
    executions = Executions(row_store, "worker", NoOutbox())
    claimed = await executions.claim(row.id, 1)
    assert claimed is not None
    with pytest.raises(NewerVersionRequired):
        async with executions.hold(claimed):
            raise NewerVersionRequired("a node type")
    assert released == [([(claimed.id, claimed.fence)], 0.0)]
