"""The form of an alert rule: every field of its definition."""

from typing import Final, get_args

from filas.models.alerts import AlertMetric
from filas.models.findings import Severity
from ingest.dashboard.definition_forms.definition_form import DefinitionForm, Group
from ingest.dashboard.definition_forms.form_fields import Checkbox, Duration, Number, Text
from ingest.dashboard.definition_forms.list_fields import Choice, Choices, Rows

ADDED_BY_ANSWERS: Final = frozenset({"silencedUntil", "standard"})
"""Fields that an answer of the API adds, and the body of a change must not have."""

METRICS: Final = get_args(AlertMetric)
SEVERITIES: Final = get_args(Severity)
WEEKDAYS: Final = ("1", "2", "3", "4", "5", "6", "7")


def alert_form(channels: tuple[str, ...], *, is_new: bool) -> DefinitionForm:
    """Returns the form. `channels` are suggested. A new rule has an id."""
    return DefinitionForm(
        "alert-fields",
        (
            Group(
                "rule",
                (
                    *((Text("id", hint="failing-checkout"),) if is_new else ()),
                    Choice("metric", METRICS, words="alert-metrics", renews=True),
                    Text("subject", mono=True),
                    Text("code", mono=True),
                    Number("threshold", whole=False, default=1),
                    Choice("severity", SEVERITIES, words="states", default="warning"),
                    Checkbox("enabled", default=True),
                ),
            ),
            Group(
                "timing",
                (
                    Duration("windowMs", default=600_000),
                    Number("minimum", default=5),
                    Duration("durationMs", default=60_000),
                    Duration("cooldownMs", default=1_800_000),
                ),
            ),
            Group("to", (Rows("to", (Text("channel", suggestions=channels, mono=True), Text("to", mono=True))),)),
            Group(
                "quiet",
                (
                    Text("quietHours.from", hint="22:00"),
                    Text("quietHours.until", hint="07:00"),
                    Text("quietHours.timezone", default="UTC"),
                    Choices(
                        "quietHours.days", WEEKDAYS, words="alert-weekdays", numbers=True, default=[1, 2, 3, 4, 5, 6, 7]
                    ),
                ),
                path="quietHours",
                advanced=True,
            ),
        ),
    )
