"""The form of a schedule: every field of its definition."""

from typing import Final

from ingest.dashboard.definition_forms.definition_form import DefinitionForm, Group
from ingest.dashboard.definition_forms.form_fields import Checkbox, Duration, Json, Moment, Number, Text
from ingest.dashboard.definition_forms.list_fields import Choice, Rows

ADDED_BY_ANSWERS: Final = frozenset(
    {
        "id", "revision", "createdAt", "updatedAt", "nextRunAt", "nextRuns", "warnings", "lastRunAt", "lastExecutionId",
        "lastError",
    }
)  # fmt: skip
"""Fields that an answer of the API adds. The body of a change does not need them."""

MISFIRES: Final = ("run-once", "skip", "catch-up")
COMMON_ZONES: Final = (
    "UTC", "America/Sao_Paulo", "America/Manaus", "America/Fortaleza", "America/New_York", "Europe/Lisbon",
)  # fmt: skip


def schedule_form(flows: tuple[str, ...], channels: tuple[str, ...], zone: str, *, is_new: bool) -> DefinitionForm:
    """Returns the form. `flows`, `channels` and the `zone` of the reader are suggested. A new schedule has an id."""
    zones = tuple(dict.fromkeys((zone, *COMMON_ZONES)))
    return DefinitionForm(
        "schedule-fields",
        (
            Group(
                "what",
                (
                    *((Text("id", hint="daily-report"),) if is_new else ()),
                    Text("flowId", suggestions=flows, mono=True),
                    Number("version"),
                    Checkbox("enabled", default=True),
                ),
            ),
            Group(
                "when",
                (
                    Text("cron", hint="0 9 * * 1-5", mono=True),
                    Number("every.minutes"),
                    Number("every.hours"),
                    Number("every.days"),
                    Number("every.weeks"),
                    Number("every.seconds"),
                    Rows("at", (Moment("value"),), shape="values"),
                    Text("timezone", default="UTC", suggestions=zones),
                    Moment("startsAt"),
                    Moment("endsAt"),
                ),
            ),
            Group(
                "given",
                (
                    Json("input"),
                    Text("conversation.channel", suggestions=channels, mono=True),
                    Text("conversation.contact", hint="+5511999990000", mono=True),
                ),
            ),
            Group(
                "missed",
                (
                    Choice("misfire", MISFIRES, words="schedule-misfires", default="run-once"),
                    Duration("misfireGraceMs", default=60_000),
                    Number("catchUpLimit", default=100),
                ),
                advanced=True,
            ),
        ),
    )
