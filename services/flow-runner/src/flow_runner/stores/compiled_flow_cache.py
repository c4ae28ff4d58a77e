"""The plans of flows, kept as long as they are used: a version never changes."""

import asyncio
from collections import OrderedDict
from typing import Protocol

from filas.errors import PermanentError
from filas.flows.definition.flow_definition import load
from filas.models.configuration import FlowVersion
from flow_runner.engine.compiled_flow import Plan

KEPT = 256
"""Plans kept at a time; the one that was not used for the longest goes first."""


class FlowSource(Protocol):
    """What is needed of the repository."""

    async def get(self, flow_id: str, version: int | None = None) -> FlowVersion | None: ...


def _made(stored: FlowVersion) -> Plan:
    return Plan(stored.flow_id, stored.version, load(stored.definition))


class Plans:
    """Loads the version of a flow that an execution started with."""

    def __init__(self, flows: FlowSource) -> None:
        self._flows = flows
        self._kept: OrderedDict[tuple[str, int], Plan] = OrderedDict()

    async def get(self, flow_id: str, version: int) -> Plan:
        """Raises PermanentError when the version is gone or can't be run, and StoreUnavailable."""
        key = flow_id, version
        plan = self._kept.get(key)
        if plan is None:
            stored = await self._flows.get(flow_id, version)
            if stored is None:
                raise PermanentError(f"version {version} of flow {flow_id} doesn't exist")
            # To parse all templates of a large flow takes a second: the executions under way go on meanwhile.
            plan = await asyncio.to_thread(_made, stored)
            self._kept[key] = plan
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return plan

    async def published(self, flow_id: str) -> int | None:
        """The version that is published now; None: there is none. Raises StoreUnavailable."""
        stored = await self._flows.get(flow_id)
        return stored.version if stored and stored.published else None
