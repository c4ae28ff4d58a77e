"""`filas schedules` against the running API."""

import json
import re
from pathlib import Path

import pytest

from tests.ingest.api.serving import FLOW, Api
from tests.shared.cli.test_commands import api, asked

__all__ = ["api"]

EXAMPLES = sorted((Path(__file__).parents[3] / "deploy" / "examples" / "schedules").glob("*.json"))


async def test_a_schedule_is_applied_shown_listed_and_deleted(api: Api, tmp_path: Path) -> None:
    """The whole life of a schedule; its id is the file's name."""
    file = tmp_path / "daily.json"
    file.write_text(json.dumps({"flowId": "greeting", "cron": "0 9 * * *", "timezone": "America/Sao_Paulo"}))
    early = await asked(api, "schedule", "apply", str(file))
    assert (early.code, "no flow 'greeting' is stored" in early.err) == (1, True)
    assert (await asked(api, "schedule", "apply", "--force", str(file))).code == 0
    await api.put("/flows/greeting", FLOW)
    applied = await asked(api, "schedule", "apply", str(file))
    assert applied.code == 0, applied.err
    assert re.fullmatch(r"daily starts greeting next at \d{4}-\d\d-\d\dT\d\d:00:00Z \(in \d+ (h|min)\)\n", applied.out)
    shown = await asked(api, "schedule", "get", "daily", "--preview", "3")
    assert len(shown.json["nextRuns"]) == 3
    listed = (await asked(api, "schedule", "list")).out
    assert "America/Sao_Paulo" in listed
    assert "0 9 * * *" in listed
    file.write_text(json.dumps({"flowId": "greeting", "at": ["2020-01-01T00:00:00Z"]}))
    past = await asked(api, "schedule", "apply", str(file))
    assert past.out == "daily starts greeting never: all its times have passed\n"
    assert "1 times" in (await asked(api, "schedule", "list")).out
    assert (await asked(api, "schedule", "delete", "daily")).out == "daily deleted\n"
    assert (await asked(api, "schedule", "list")).out == "No schedules yet\n"


async def test_errors_in_a_file_are_reported_field_by_field(api: Api, tmp_path: Path) -> None:
    """Each on a line of its own, with exit code 1."""
    file = tmp_path / "daily.json"
    file.write_text(json.dumps({"flowId": "greeting", "cron": "0 25 * * *", "timezone": "Nowhere"}))
    run = await asked(api, "schedule", "apply", str(file))
    assert run.code == 1
    assert "cron" in run.out + run.err
    assert "'Nowhere' is not a time zone" in run.out + run.err


@pytest.mark.parametrize("file", EXAMPLES, ids=[file.stem for file in EXAMPLES])
async def test_the_examples_can_be_applied(api: Api, file: Path) -> None:
    """As they are in deploy/examples, each for a flow of the gallery."""
    await api.put("/channels/console", {"type": "console"})
    flow = file.parents[1] / "flows" / file.name
    assert (await asked(api, "flow", "apply", "--force", str(flow))).code == 0
    run = await asked(api, "schedule", "apply", str(file), "--json")
    assert run.code == 0, run.err
    [stored] = run.json
    assert stored["nextRuns"]
