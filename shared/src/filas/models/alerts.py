"""Alert rules, what they have found, and the rules that exist from the start."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from filas.models.findings import Severity
from filas.models.record import Record

AlertMetric = Literal[
    "flow-failure-rate",
    "flow-failures",
    "dead-letters",
    "oldest-waiting",
    "no-worker",
    "channel-paused",
    "undelivered-share",
    "auth-failures",
    "refusals",
    "unqueued",
    "redis-memory",
    "postgres-connections",
    "postgres-disk",
    "finding",
]
"""What a rule measures:

| metric                | value                                                        | one alert for each |
|-----------------------|--------------------------------------------------------------|--------------------|
| `flow-failure-rate`   | share of the executions that failed or timed out, 0 to 1     | flow               |
| `flow-failures`       | executions that failed or timed out                          | flow               |
| `dead-letters`        | dead letters that were not replayed                          | all                |
| `oldest-waiting`      | seconds for which the oldest due job has waited              | queue              |
| `no-worker`           | 1 if no process works on the queue                           | queue              |
| `channel-paused`      | 1 if the channel is paused or fails                          | channel            |
| `undelivered-share`   | share of the messages that failed, 0 to 1                    | channel            |
| `auth-failures`       | requests with a wrong signature or secret                    | all                |
| `refusals`            | refused requests                                             | all                |
| `unqueued`            | accepted events, executions and messages on no queue         | queue              |
| `redis-memory`        | share of the memory limit of Redis, 0 to 1                   | all                |
| `postgres-connections`| share of the connections of Postgres, 0 to 1                 | all                |
| `postgres-disk`       | share of the volume of Postgres, 0 to 1                      | all                |
| `finding`             | 1 if the doctor has the finding `code`                       | subject            |

Counts and shares are those of the last `windowMs`.
"""

WindowMs = Annotated[int, msgspec.Meta(ge=60_000, le=24 * 3_600_000)]
WaitMs = Annotated[int, msgspec.Meta(ge=0, le=30 * 24 * 3_600_000)]
ClockTime = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](?!\n)$")]
Weekday = Annotated[int, msgspec.Meta(ge=1, le=7)]


class AlertTarget(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recipient of messages about an alert, over a channel."""

    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    to: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class QuietHours(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing is announced from `begin` to `end` (`22:00` to `07:00`) in `timezone`, on `days` (1 is Monday; of the
    beginning). An alert that still fires at the end is announced then."""

    begin: ClockTime = msgspec.field(name="from")
    end: ClockTime = msgspec.field(name="until")
    timezone: Annotated[str, msgspec.Meta(max_length=64)] = "UTC"
    days: tuple[Weekday, ...] = (1, 2, 3, 4, 5, 6, 7)


class AlertRule(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an alert fires, and who gets a message.

    It fires when the value has reached `threshold` for `durationMs`, and recovers when it is below. A share counts only
    with at least `minimum` executions or messages in the window. After a recovery, the same alert is not announced
    again for `cooldownMs`. Without `to`, the recipients are those of ALERT_TO. `subject` restricts the rule to one
    flow, channel or queue.
    """

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    metric: AlertMetric
    threshold: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    window_ms: WindowMs = 600_000
    minimum: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 5
    duration_ms: WaitMs = 60_000
    cooldown_ms: WaitMs = 1_800_000
    severity: Severity = "warning"
    code: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    subject: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    to: Annotated[tuple[AlertTarget, ...], msgspec.Meta(max_length=20)] = ()
    quiet_hours: QuietHours | None = None
    enabled: bool = True


class StoredAlertRule(AlertRule, frozen=True, kw_only=True):
    """A rule as the API shows it. `silencedUntil`: nothing is announced until then. `standard`: it exists from the
    start, and is not stored."""

    silenced_until: datetime | None = None
    standard: bool = False


STANDARD_RULES: Final[tuple[AlertRule, ...]] = (
    AlertRule(id="failing-flow", metric="flow-failure-rate", threshold=0.2),
    AlertRule(id="dead-letters", metric="dead-letters", threshold=1, duration_ms=0),
    AlertRule(id="late-queue", metric="oldest-waiting", threshold=120, severity="critical"),
    AlertRule(id="no-worker", metric="no-worker", duration_ms=30_000, severity="critical"),
    AlertRule(id="paused-channel", metric="channel-paused", duration_ms=120_000),
    AlertRule(id="undelivered-messages", metric="undelivered-share", threshold=0.2),
    AlertRule(id="wrong-signatures", metric="auth-failures", threshold=100),
    AlertRule(id="refused-requests", metric="refusals", threshold=500),
    AlertRule(id="unqueued-work", metric="unqueued", duration_ms=120_000, severity="critical"),
    AlertRule(id="redis-memory", metric="redis-memory", threshold=0.9, severity="critical"),
    AlertRule(id="redis-append-only-file", metric="finding", code="redis-no-append-only-file", duration_ms=300_000),
    AlertRule(id="postgres-connections", metric="postgres-connections", threshold=0.9),
    AlertRule(id="postgres-disk", metric="postgres-disk", threshold=0.85, severity="critical"),
)
"""The rules that exist from the start. A stored rule with the same id replaces one."""


class Observation(Record, frozen=True, kw_only=True):
    """The value of one subject of a rule. `sentence` is what happened, `cause` and `remedy` are the doctor's, `since`
    is when it began, and `path` is the page of the dashboard that shows it."""

    value: float
    sentence: str
    cause: str | None = None
    remedy: str | None = None
    since: datetime | None = None
    path: str = "/dashboard"


AlertState = Literal["pending", "firing", "resolved"]


class AlertFiring(Record, frozen=True, kw_only=True):
    """One time that a rule was met, for one subject.

    | state      | meaning                                | moved to another state by                                |
    |------------|----------------------------------------|----------------------------------------------------------|
    | `pending`  | the threshold is reached, but not yet  | `durationMs` is over: `firing`; below the threshold:     |
    |            | for long enough                        | the row is deleted                                       |
    | `firing`   | the alert fires                        | below the threshold: `resolved`                          |
    | `resolved` | it is over                             | never; removed with the dead letters' retention          |

    The notifier that evaluates the rules moves them. `announcedAt` and `recoveryAnnouncedAt`: when the message to the
    recipients was stored. `value` is the last value, `peak` the highest.
    """

    id: UUID
    rule_id: str
    subject: str
    state: AlertState
    severity: Severity
    value: float
    peak: float
    detail: dict[str, Any]
    pending_since: datetime
    fired_at: datetime | None = None
    announced_at: datetime | None = None
    resolved_at: datetime | None = None
    recovery_announced_at: datetime | None = None
