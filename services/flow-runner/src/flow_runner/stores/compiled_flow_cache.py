"""Compiled flows, loaded once and kept while they are used: a version never changes."""

import asyncio
from collections import OrderedDict
from typing import Protocol

from filas.errors import PermanentError
from filas.flows.definition.flow_definition import FlowInvalid, FlowOfNewerVersion, load
from filas.flows.templates.template import TemplateError
from filas.models.configuration import FlowVersion
from flow_runner.engine.compiled_flow import CompiledFlow

KEPT = 256
"""The number of compiled flows that are kept. The one that was unused for the longest time is removed first."""


_UNKNOWN_IN_TEMPLATE = ("unknown filter", "unexpected tag")


class FlowSource(Protocol):
    """The part of the repository that the cache uses."""

    async def get(self, flow_id: str, version: int | None = None) -> FlowVersion | None: ...


class CompiledFlowCache:
    """Loads and compiles the versions that executions use."""

    def __init__(self, flows: FlowSource) -> None:
        self._flows = flows
        self._kept: OrderedDict[tuple[str, int], CompiledFlow] = OrderedDict()

    async def get(self, flow_id: str, version: int) -> CompiledFlow:
        """The compiled version. Raises PermanentError if it does not exist or is invalid, FlowOfNewerVersion if it uses
        what this version does not know, and StoreUnavailable."""
        key = flow_id, version
        flow = self._kept.get(key)
        if flow is None:
            stored = await self._flows.get(flow_id, version)
            if stored is None:
                raise PermanentError(f"version {version} of flow {flow_id} does not exist")
            # Parsing all templates of a large flow takes a second. In a thread it does not block other executions.
            flow = await asyncio.to_thread(_compile, stored)
            self._kept[key] = flow
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return flow

    async def published(self, flow_id: str) -> int | None:
        """The version that is published now, None if there is none. Raises StoreUnavailable."""
        stored = await self._flows.get(flow_id)
        return stored.version if stored and stored.published else None


def _compile(stored: FlowVersion) -> CompiledFlow:
    try:
        return CompiledFlow(stored.flow_id, stored.version, load(stored.definition))
    except TemplateError as error:
        # The template was checked when the version was stored, so another version knew the filter or tag.
        if str(error).startswith(_UNKNOWN_IN_TEMPLATE):
            raise FlowOfNewerVersion(f"the flow's definition needs a newer version: {error}") from None
        raise FlowInvalid(f"the flow's definition cannot be run: {error}") from None
