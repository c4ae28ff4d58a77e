"""The versions of subflows that an execution uses until it ends."""

from filas.errors import PermanentError
from flow_runner.engine.compiled_flow import CompiledFlow
from flow_runner.engine.ports import Flows

_MAX_PINNED = 64


async def pinned_versions(flow: CompiledFlow, flows: Flows) -> dict[str, int | None]:
    """The published version of every subflow that a node runs without naming a version, also in subflows of subflows.

    None: the flow is not published. Raises StoreUnavailable.
    """
    pins: dict[str, int | None] = {}
    seen: set[tuple[str, int]] = set()
    pending = list(flow.subflows)
    while pending and len(pins) < _MAX_PINNED:
        flow_id, version = pending.pop()
        if version is None:
            if flow_id not in pins:
                pins[flow_id] = await flows.published(flow_id)
            version = pins[flow_id]
        if version is None or (flow_id, version) in seen:
            continue
        seen.add((flow_id, version))
        try:
            pending += (await flows.get(flow_id, version)).subflows
        except PermanentError:
            continue  # The node that runs it fails when it is visited.
    return pins
