"""Every status of a record has a row in the table of its docstring."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from filas import models
from filas.models import dead_letters, events, executions, flow_tests, notifications, schedules

MODELS = Path(models.__path__[0])

STATUSES = {
    "EventStatus": get_args(events.EventStatus),
    "ExecutionStatus": get_args(executions.ExecutionStatus),
    "StepStatus": get_args(executions.StepStatus),
    "NotificationStatus": get_args(notifications.NotificationStatus),
    "AttemptOutcome": get_args(notifications.AttemptOutcome),
    "JobState": get_args(dead_letters.JobState),
    "FlowTestStatus": get_args(flow_tests.FlowTestStatus),
}
"""The types whose values are the states of a row or a job."""


def documented() -> dict[str, str]:
    """The docstring behind each type of values in `filas.models`."""
    found: dict[str, str] = {}
    for path in sorted(MODELS.glob("*.py")):
        body = ast.parse(path.read_text()).body
        for statement, following in zip(body, [*body[1:], ast.Pass()], strict=True):
            if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
                continue
            text = following.value if isinstance(following, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found[statement.targets[0].id] = text.value
    return found


@pytest.mark.parametrize("name", STATUSES)
def test_each_status_has_a_row(name: str) -> None:
    """With its meaning, and no row for a value that does not exist."""
    rows = re.findall(r"(?m)^\| ((?:`[\w-]+`(?:, )?)+) +\| +\S", documented()[name])
    values = [value for row in rows for value in re.findall(r"`([\w-]+)`", row)]
    assert sorted(values) == sorted(STATUSES[name])


@pytest.mark.parametrize("name", STATUSES)
def test_each_table_states_what_removes_the_row(name: str) -> None:
    """In the table, or in the text beside it."""
    assert "remove" in documented()[name]


@pytest.mark.parametrize("record", [schedules.Schedule, dead_letters.DeadLetter, notifications.PendingReceipt])
def test_records_without_a_status_column_state_their_states(record: type) -> None:
    """Their docstring has the table."""
    assert "removed by" in (record.__doc__ or "")
