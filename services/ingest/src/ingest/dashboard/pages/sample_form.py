"""A form with every kind of field, for looking at them and for tests. It stores nothing."""

from typing import Any, Final

from ingest.api.routing.problems import ApiProblem, FieldError, invalid
from ingest.dashboard.definition_forms.definition_form import DefinitionForm, Group
from ingest.dashboard.definition_forms.form_fields import (
    Checkbox,
    Duration,
    Json,
    Moment,
    Number,
    Secret,
    Template,
    Text,
)
from ingest.dashboard.definition_forms.list_fields import Choice, Choices, Rows, Secrets

SAMPLE: Final = DefinitionForm(
    "sample-fields",
    (
        Group(
            "first",
            (
                Text("name", hint="orders"),
                Text("note", lines=3),
                Template("template", hint="{{ body.from }}"),
                Number("count", default=5),
                Duration("windowMs", default=60_000),
                Choice("color", ("red", "green"), may_be_blank=True, renews=True),
                Choices("days", ("1", "2", "3"), numbers=True, default=(1, 2)),
                Checkbox("enabled", default=True),
                Moment("startsAt"),
                Secret("token", may_be_removed=True),
                Secrets("secrets"),
            ),
        ),
        Group("object", (Text("object.zone", default="UTC"), Number("object.limit")), path="object"),
        Group(
            "more",
            (
                Json("config", is_object=True),
                Rows("rules", (Template("left"), Json("value", lines=1, may_be_text=True))),
                Rows("headers", (Text("name"), Text("value")), shape="map"),
                Rows("origins", (Text("value"),), shape="values"),
            ),
            advanced=True,
        ),
    ),
)

STORED: Final = {"name": "orders", "token": "***", "secrets": ["***", "env:SECRET_OLD"], "unknown": {"kept": 2**60}}


def problem_of(body: dict[str, Any]) -> ApiProblem | None:
    """The problem that an API could have with the body."""
    errors = []
    if body.get("name") == "wrong":
        errors.append(FieldError(field="name", message="not a name"))
        errors.append(FieldError(field="elsewhere", message="does not fit"))
        errors.append(FieldError(field="object", message="not an object that is allowed"))
        errors.append(FieldError(field="rules[1].left", message="no such variable"))
        errors.append(FieldError(field="headers[...]", message="not a header"))
        errors.append(FieldError(field="secrets[1]", message="too short"))
    return invalid(errors) if errors else None
