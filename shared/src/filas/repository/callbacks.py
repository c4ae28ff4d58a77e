"""Callbacks: the calls of single-use addresses for which executions wait. Ingest writes them.

A row of `callbacks` has no status column:

| state    | meaning                                           | moved to another state by       | removed by        |
|----------|---------------------------------------------------|---------------------------------|-------------------|
| received | `payload` is set, `taken_at` is null: the         | the claim that resumes the      | retention, with   |
|          | execution does not know it yet                    | execution (`CLAIM_MANY`): taken | the execution     |
| taken    | `payload` and `taken_at` are set: the execution   | never                           | retention, with   |
|          | has resumed with it                               |                                 | the execution     |
| closed   | `payload` is null: the execution has resumed      | never                           | retention, with   |
|          | without a call; a later call is answered with 410 |                                 | the execution     |
"""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from filas.models.executions import DueExecution
from filas.repository.postgres.database import Database

# A callback is stored if its execution has not ended, even if the execution does not wait for it yet. A row without a
# payload is closed: the execution has continued without the callback.
RECEIVE: Final = """
with target as (
    select id, turn, flow_id, conversation_id, status, channel, contact, event_id, awaits_callback from executions
    where id = $2 and status not in ('succeeded', 'failed', 'cancelled', 'timed-out')
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
    """The outcome of a call: `accepted`, `repeated` (the address was called before), or `over` (its execution has
    continued without it, or has ended). `waiting` is the execution, if it waits for the call now."""

    outcome: Literal["accepted", "repeated", "over"]
    waiting: DueExecution | None = None


class CallbackRepository:
    """The table `callbacks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def receive(self, callback_id: UUID, execution_id: UUID, payload: str) -> ReceivedCall:
        """Stores a call (JSON text) if it is the first one of its address. Raises StoreUnavailable and Unstorable."""
        row = await self._database.fetchrow(RECEIVE, callback_id, execution_id, payload)
        if row is None or not row["received"]:
            # The execution exists and no row is visible: another call is being stored at this moment.
            over = row is None or row["closed"] or (row["closed"] is None and row["id"] is None)
            return ReceivedCall("over" if over else "repeated")
        if row["status"] != "waiting-callback" or row["awaits_callback"] != callback_id:
            return ReceivedCall("accepted")
        names = ("id", "turn", "flow_id", "conversation_id", "status", "channel", "contact", "event_id")
        return ReceivedCall("accepted", DueExecution(**{name: row[name] for name in names}))
