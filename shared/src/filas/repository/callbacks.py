"""Calls that executions wait for, as ingest receives them."""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from filas.models.executions import DueExecution
from filas.repository.postgres.database import Database

# A call is taken while its execution has not ended, whether that waits for it already or not yet. A row without a
# payload was closed: its execution has gone on without the call.
RECEIVE: Final = """
with target as (
    select id, turn, flow_id, conversation_id, status, channel, contact, event_id, awaits_callback from executions
    where id = $2 and ended_at is null
), received as (
    insert into callbacks (id, execution_id, payload) select $1, id, $3::json from target
    on conflict (id) do nothing
    returning id
)
select t.*, exists (select from received) as received,
    (select k.payload is null from callbacks k where k.id = $1) as closed
from (select) one left join target t on true"""


@dataclass(frozen=True, slots=True)
class ReceivedCall:
    """What became of a call: `accepted`, `repeated` (the address had been called), or `over` (its execution has gone on
    or ended). `waiting` is the execution, where it waits for the call now."""

    outcome: Literal["accepted", "repeated", "over"]
    waiting: DueExecution | None = None


class CallbackRepository:
    """The table `callbacks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def receive(self, callback_id: UUID, execution_id: UUID, payload: str) -> ReceivedCall:
        """Keep a call (JSON text), the first of its address. Raises StoreUnavailable and Unstorable."""
        row = await self._database.fetchrow(RECEIVE, callback_id, execution_id, payload)
        if row is None or not row["received"]:
            # No row to be seen, and the execution there: another call has come in the same moment.
            over = row is None or row["closed"] or (row["closed"] is None and row["id"] is None)
            return ReceivedCall("over" if over else "repeated")
        if row["status"] != "waiting-callback" or row["awaits_callback"] != callback_id:
            return ReceivedCall("accepted")
        names = ("id", "turn", "flow_id", "conversation_id", "status", "channel", "contact", "event_id")
        return ReceivedCall("accepted", DueExecution(**{name: row[name] for name in names}))
