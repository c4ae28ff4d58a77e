"""The states of jobs, and the jobs that cannot succeed."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from filas.models.record import ErrorDetail, Record

JobState = Literal["waiting", "delayed", "active", "completed", "failed"]
"""The state of a job in Redis:

| state       | meaning                        | moved to another state by               | removed by                |
|-------------|--------------------------------|-----------------------------------------|---------------------------|
| `waiting`   | due and not claimed, or behind | a claim: `active`                       | never                     |
|             | another job of its group       |                                         |                           |
| `delayed`   | due later                      | its due time, a promotion (API), or a   | never                     |
|             |                                | cancellation (API): `waiting`           |                           |
| `active`    | claimed under a live lease     | success: `completed`; last failure or   | never                     |
|             |                                | cancellation: `failed`; retry:          |                           |
|             |                                | `delayed`; requeued, or lease expired:  |                           |
|             |                                | `waiting`                               |                           |
| `completed` | finished with a result         | never                                   | retention (24 h), `clean` |
| `failed`    | finished as a dead letter      | never; a replay of the dead letter is a | retention (7 days),       |
|             |                                | new job                                 | `clean`                   |

Jobs in the last two states are counted; the queue keeps records only of the newest of them.
"""


class NewDeadLetter(Record, frozen=True, kw_only=True):
    """A job that becomes a dead letter. `payload` is its message as JSON if the job decodes, otherwise the job's bytes.
    `queue` is the queue's full name. `history` has one entry for each failed attempt. Queue, job and `failed_at`
    together identify a dead letter."""

    queue: str
    job_id: str
    function: str
    payload: bytes
    group_key: str | None
    error: ErrorDetail
    attempts: int
    history: list[dict[str, Any]]
    enqueued_at: datetime | None
    failed_at: datetime


class DeadLetter(Record, frozen=True, kw_only=True):
    """A job that cannot succeed, with its whole content. `payload` is the message as JSON if it decodes; otherwise it
    is None, and `raw` is the job's bytes in base64. `history` has one entry for each failed attempt.

    A dead letter has no status column. `replayed_at` makes the difference:

    | state    | meaning                        | moved to another state by       | removed by                       |
    |----------|--------------------------------|---------------------------------|----------------------------------|
    | open     | `replayed_at` is null          | a replay (API, one or many):    | an operator (API); retention, 90 |
    |          |                                | replayed                        | days                             |
    | replayed | its job was enqueued again,    | never: if that job fails, it is | an operator (API); retention, 90 |
    |          | under the id `replayed_job_id` | another dead letter             | days                             |

    Retention counts from `failed_at`. `fingerprint` is that of the error, `KIND:NODE:HASH`.
    """

    id: UUID
    queue: str
    job_id: str
    function: str
    payload: dict[str, Any] | None
    raw: str | None
    group_key: str | None
    error: ErrorDetail
    attempts: int
    history: list[dict[str, Any]]
    enqueued_at: datetime | None
    failed_at: datetime
    replayed_at: datetime | None = None
    replayed_job_id: str | None = None
    fingerprint: str | None = None
