"""Which definitions name a flow, a channel or a secret, so that none of them is deleted while it is in use."""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from filas.repository.postgres import paging
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import from_json

# Every change of a webhook, a schedule and a channel takes this lock, so that none of them begins to use what is being
# deleted. It is held until the transaction ends.
LOCK: Final = "select revision from configuration_revision for update"

WEBHOOKS_OF_FLOW: Final = "select id from webhooks where flow_id = $1 and not deleted order by id limit $2"
SCHEDULES_OF_FLOW: Final = "select id from schedules where flow_id = $1 order by id limit $2"
STARTING: Final = """
select 'webhook' as kind, id, flow_id from webhooks where flow_id = any ($1::text[]) and not deleted
union all
select 'schedule', id, flow_id from schedules where flow_id = any ($1::text[])
order by 1 desc, 2"""
SCHEDULES_OF_CHANNEL: Final = "select id from schedules where channel = $1 order by id limit $2"

# The definitions are searched as text: nothing here looks into a value that came from outside.
FLOWS_WITH_TEXT: Final = paging.within_bytes(
    """
select v.flow_id, v.definition from flows f
    join flow_versions v on v.flow_id = f.id and v.version = f.published_version
where f.id > $2 and position($1 in v.definition::text) > 0 order by v.flow_id limit $3""",
    "octet_length(definition::text)",
    "flow_id",
)


class StartingDefinition(NamedTuple):
    """A webhook or a schedule with the flow that it starts."""

    kind: Literal["webhook", "schedule"]
    id: str
    flow_id: str


class FlowText(NamedTuple):
    """The published definition of a flow."""

    flow_id: str
    definition: Any


class ReferenceRepository:
    """What the tables of definitions name. Each method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lock(self) -> None:
        """Waits until no other transaction changes definitions, and lets none change them until this one ends."""
        await self._database.fetch(LOCK)

    async def webhooks_of_flow(self, flow_id: str, limit: int) -> list[str]:
        """The ids of the webhooks that start the flow."""
        return [row["id"] for row in await self._database.fetch(WEBHOOKS_OF_FLOW, flow_id, limit)]

    async def schedules_of_flow(self, flow_id: str, limit: int) -> list[str]:
        """The ids of the schedules that start the flow."""
        return [row["id"] for row in await self._database.fetch(SCHEDULES_OF_FLOW, flow_id, limit)]

    async def starting(self, flow_ids: Sequence[str]) -> list[StartingDefinition]:
        """The webhooks and schedules that start one of the flows."""
        rows = await self._database.fetch(STARTING, list(flow_ids))
        return [StartingDefinition(row["kind"], row["id"], row["flow_id"]) for row in rows]

    async def schedules_of_channel(self, channel_id: str, limit: int) -> list[str]:
        """The ids of the schedules whose conversations are over the channel."""
        return [row["id"] for row in await self._database.fetch(SCHEDULES_OF_CHANNEL, channel_id, limit)]

    async def flows_with(self, text: str, after: str, limit: int) -> list[FlowText]:
        """Published flows whose definition, as JSON, contains `text`, in the order of their ids, from the one after
        `after`. A page may be shorter than `limit`; an empty one is the end."""
        rows = await self._database.fetch(FLOWS_WITH_TEXT, text, after, limit)
        return [FlowText(row["flow_id"], from_json(row["definition"])) for row in rows]
