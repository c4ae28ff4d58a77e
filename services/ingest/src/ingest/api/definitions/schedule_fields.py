"""The body of a schedule: its fields, and a check that reports every wrong field at once."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from filas.flows.locales import zone_problem
from filas.flows.timing.cron_meaning import findings
from filas.flows.timing.intervals import interval_problem
from filas.flows.timing.moments import cron_problem, moments
from filas.models.interval import Interval
from filas.models.record import ErrorDetail
from filas.models.schedules import Misfire, ScheduleConversation
from ingest.api.routing.body_errors import field_error
from ingest.api.routing.identifiers import Identifier
from ingest.api.routing.problems import FieldError, invalid, invalid_field
from ingest.api.routing.request_parsing import decode_json
from ingest.api.routing.route_types import Body

MAX_TIMES = 1000
MAX_INPUT_BYTES = 64 * 1024
HOUR_MS = 3_600_000
FIRST_YEAR, LAST_YEAR = 2000, 2200

Moment = Annotated[datetime, msgspec.Meta(tz=True, description="ISO 8601 with an offset from UTC, or `Z`.")]


class ScheduleBody(Body, frozen=True, kw_only=True):
    """When a flow starts by itself: by `cron` or in intervals (`every`) in `timezone`, or at each time of `at`. Exactly
    one of the three is given. Intervals are counted from `startsAt`, without it from Monday 2024-01-01 0:00.

    There is no tick before `startsAt` or after `endsAt`. Without `version`, the version that is published at the tick
    starts. The flow sees `input` as `webhook.body`, and the time of the tick as
    `webhook.headers["filas-scheduled-at"]`. `conversation` sets the contact that the flow writes to.

    A tick that is `misfireGraceMs` late is missed. `misfire` sets what then starts: nothing (`skip`), one execution
    for all missed ticks (`run-once`), or one each for the newest `catchUpLimit` ticks (`catch-up`).

    The fields that an answer adds (`id`, `revision`, `nextRunAt` and so on) are accepted and ignored.
    """

    flow_id: Identifier
    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    cron: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    every: Interval | None = None
    timezone: Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="An IANA name.")] = "UTC"
    at: Annotated[list[Moment], msgspec.Meta(min_length=1, max_length=MAX_TIMES)] | None = None
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    enabled: bool = True
    input: Any = None
    conversation: ScheduleConversation | None = None
    misfire: Misfire = "run-once"
    misfire_grace_ms: Annotated[int, msgspec.Meta(ge=1000, le=HOUR_MS)] = 60_000
    catch_up_limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    id: Identifier | None = None
    revision: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    next_run_at: datetime | None = None
    next_runs: list[datetime] | None = None
    warnings: list[Any] | None = None
    last_run_at: datetime | None = None
    last_execution_id: UUID | None = None
    last_error: ErrorDetail | None = None


def read_schedule(raw: bytes) -> ScheduleBody:
    """Returns the body of a PUT. Raises the 400 for a body that is not JSON, and the 422 for wrong fields."""
    try:
        document = decode_json(raw, Any)
    except msgspec.ValidationError as error:
        raise invalid_field("", str(error)) from None
    if not isinstance(document, dict):
        raise invalid_field("", "the body is not a JSON object")
    values, errors = _converted(document)
    wrong = {_first_part(error.field) for error in errors}
    # A field of the wrong type is left out, so that the other fields are checked too.
    body = ScheduleBody(**{"flow_id": "missing"} | values)
    hidden = wrong | ({"cron"} if wrong & {"at", "every"} and body.cron is None else set())
    errors += [error for error in _check(body) if _first_part(error.field) not in hidden]
    if errors:
        raise invalid(errors)
    return body


def _first_part(field: str) -> str:
    return field.partition(".")[0].partition("[")[0]


def _converted(document: dict[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
    """Converts each field by itself, because a conversion of the whole body ends at the first error."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(ScheduleBody)}
    errors = [FieldError(field=name[:200], message=f"unknown field `{name[:200]}`") for name in document
              if name not in fields]  # fmt: skip
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in document:
            if field.required:
                errors.append(FieldError(field=name, message=f"missing required field `{name}`"))
            continue
        try:
            values[field.name] = msgspec.convert(document[name], field.type)
        except msgspec.ValidationError as error:
            found = field_error(str(error))
            separator = "" if not found.field or found.field.startswith("[") else "."
            errors.append(FieldError(field=f"{name}{separator}{found.field}", message=found.message))
    return values, errors


def _check(body: ScheduleBody) -> list[FieldError]:
    """Returns the errors that the types alone do not find."""
    errors = [*_check_moments(body)]
    zone = zone_problem(body.timezone)
    if zone is not None:
        errors.append(FieldError(field="timezone", message=zone))
    if [body.cron, body.every, body.at].count(None) != 2:
        errors.append(FieldError(field="cron", message="give exactly one of `cron`, `every` and `at`"))
    elif body.cron is not None:
        errors += _check_cron(body.cron, body.timezone if zone is None else None)
    elif body.every is not None and (problem := interval_problem(body.every)) is not None:
        errors.append(FieldError(field="every", message=problem))
    talk = body.conversation
    for name, text in (("channel", talk.channel), ("contact", talk.contact)) if talk else ():
        if not 1 <= len(text) <= 200 or not text.isprintable():
            errors.append(FieldError(field=f"conversation.{name}", message="not 1 to 200 printable characters"))
    if _size(body.input) > MAX_INPUT_BYTES:
        errors.append(FieldError(field="input", message=f"exceeds {MAX_INPUT_BYTES // 1024} KiB"))
    return errors


def _check_moments(body: ScheduleBody) -> list[FieldError]:
    named = [(f"at[{index}]", moment) for index, moment in enumerate(body.at or ())]
    named += [(name, moment) for name, moment in (("startsAt", body.starts_at), ("endsAt", body.ends_at)) if moment]
    wrong = [name for name, moment in named if not FIRST_YEAR <= _year(moment) <= LAST_YEAR]
    errors = [FieldError(field=name, message=f"the year is not from {FIRST_YEAR} to {LAST_YEAR}") for name in wrong]
    if body.starts_at is not None and body.ends_at is not None and body.ends_at < body.starts_at:
        errors.append(FieldError(field="endsAt", message="earlier than `startsAt`"))
    return errors


def _year(moment: datetime) -> int:
    try:
        return moment.astimezone(UTC).year
    except OverflowError:
        return 0


def _check_cron(cron: str, zone: str | None) -> list[FieldError]:
    """Returns the errors of a cron expression. `zone` is None if it is not valid."""
    problem = cron_problem(cron) or (_never(cron, zone) if zone is not None else None)
    found = [] if problem is None else [problem]
    found += [message for severity, message in findings(cron, zone, datetime.now(UTC)) if severity == "error"]
    return [FieldError(field="cron", message=message, code="cron-meaning") for message in found]


def _never(cron: str, zone: str) -> str | None:
    now = datetime.now(UTC)
    return None if next(moments(cron, zone, now), None) else "has no tick in the next years"


def _size(value: Any) -> int:
    return len(msgspec.json.encode(value))
