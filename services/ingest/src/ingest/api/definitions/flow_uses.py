"""What a flow uses outside of itself: other flows, channels and secrets, looked up when the flow is stored."""

import difflib
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from filas.flows.checks import outside_uses
from filas.flows.checks.outside_uses import OutsideUse
from filas.flows.definition.flow_definition import FlowDefinition
from filas.flows.nodes.node_data import Used
from filas.flows.problems import Code, FlowProblem
from filas.flows.value_limits import MAX_ID_CHARS
from filas.models.configuration import Channel, FlowVersion
from ingest.api.definitions.similar_names import SIMILAR, NamedDefinitions, suggestion

_CODES: Final[dict[Used, Code]] = {"flow": "unknown-flow", "channel": "unknown-channel", "secret": "unknown-secret"}


class FlowStore(NamedDefinitions, Protocol):
    """The stored flows (`FlowRepository`). Each method raises StoreUnavailable."""

    async def get(self, flow_id: str, version: int | None = None, /) -> FlowVersion | None:
        """Returns the version (by default the published one, else the newest), or None."""

    async def published_version(self, flow_id: str, /) -> int | None:
        """Returns the number of the published version, or None."""


class ChannelStore(NamedDefinitions, Protocol):
    """The definitions of channels (`ChannelRepository`)."""

    async def get(self, channel_id: str, /) -> Channel | None:
        """Returns the channel, or None. Raises StoreUnavailable."""


class SecretStore(Protocol):
    """The secrets of flows (`SecretRepository`)."""

    async def names(self) -> Sequence[str]:
        """Returns the names of all secrets. Raises StoreUnavailable."""


async def unknown_uses(
    flow_id: str, definition: FlowDefinition, flows: FlowStore, channels: ChannelStore, secrets: SecretStore
) -> list[FlowProblem]:
    """Returns an error for each use of a definition that is not stored. A flow may use itself, before it is stored.
    What a template names is known only in a run. Raises StoreUnavailable."""
    lookup = _Lookup(flow_id, flows, channels, await secrets.names())
    known: dict[OutsideUse, str | None] = {}
    errors: list[FlowProblem] = []
    for use in outside_uses.uses(definition):
        key = use._replace(node_id=None, field="")
        if key not in known:
            known[key] = await lookup.problem(key)
        message = known[key]
        if message is not None:
            errors.append(FlowProblem(use.node_id, use.field, message, _CODES[use.kind]))
    return list(dict.fromkeys(errors))


class _Lookup(NamedTuple):
    flow_id: str
    flows: FlowStore
    channels: ChannelStore
    secrets: Sequence[str]

    async def problem(self, use: OutsideUse) -> str | None:
        """The error of a definition that is not stored."""
        name = use.name[:MAX_ID_CHARS]
        # Postgres does not accept every character.
        can_be_stored = use.name.isprintable() and len(use.name) <= MAX_ID_CHARS
        if use.kind == "secret":
            near = difflib.get_close_matches(name, self.secrets, 1, SIMILAR)
            hint = f"did you mean `{near[0]}`?" if near else "store it first"
            return None if use.name in self.secrets else f"no secret {name!r} is stored: {hint}"
        if use.kind == "channel":
            stored = can_be_stored and await self.channels.get(use.name) is not None
            return None if stored else f"no channel {name!r} is stored{await suggestion(name, self.channels)}"
        return await self._flow(use) if can_be_stored else f"no flow {name!r} is stored: store it first"

    async def _flow(self, use: OutsideUse) -> str | None:
        if use.version is not None:
            if await self.flows.get(use.name, use.version) is not None:
                return None
        elif use.name == self.flow_id or await self.flows.published_version(use.name) is not None:
            return None
        if await self.flows.get(use.name) is None:
            return f"no flow {use.name!r} is stored{await suggestion(use.name, self.flows)}"
        if use.version is not None:
            return f"flow {use.name!r} has no version {use.version}"
        return f"no version of flow {use.name!r} is published: publish it first"
