"""`filas tail`, `filas stats --watch` and `filas logs`: what happens, until Ctrl-C."""

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from filas.cli import live_commands
from filas.cli.api_client import Client, CommandFailed
from tests.ingest.api.conftest import api
from tests.ingest.api.seeding import attempted
from tests.ingest.api.serving import FLOW, TOKEN, Api
from tests.ingest.api.test_failures import BROKEN, failed
from tests.ingest.api.test_history import with_messages
from tests.shared.cli.inside import inside
from tests.shared.cli.running import ENTRY, filas
from tests.waiting import PATIENCE_S

__all__ = ["api"]

ONCE = ("--for", "0s")


async def test_tail_shows_what_happened_since(api: Api) -> None:
    """Events, executions, failures and deliveries, the oldest first, each with its id, its state and its error."""
    assert (await api.put("/flows/greeting", FLOW)).status == 200
    [broken] = await failed(api, BROKEN)
    execution = await with_messages(api)
    run = await inside(api, "tail", "--since", "1h", *ONCE)
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    assert {line.split()[1] for line in lines} == {"event", "execution", "failure", "delivery"}
    assert any(f"greeting failed  http-status at crm: the answer is 500  {broken}" in line for line in lines)
    assert any("greeting 1 failed  http-status at crm: the answer is 500" in line for line in lines)
    assert any("succeeded" in line and str(execution) in line for line in lines)
    failures = await inside(api, "tail", "failures", "--since", "1h", "--json", *ONCE)
    only = [json.loads(line) for line in failures.out.splitlines()]
    assert [(one["kind"], one["id"]) for one in only] == [("failure", str(broken))]
    filtered = (await inside(api, "tail", "--channel", "none", "--since", "1h", *ONCE)).out
    assert filtered == ""
    assert (await inside(api, "tail", *ONCE)).out == ""
    assert (await inside(api, "tail", "everything")).code == 2


async def test_tail_shows_each_change_once(api: Api) -> None:
    """A message that is sent and an old execution that fails, but not again what was shown."""
    assert (await api.put("/flows/greeting", FLOW)).status == 200
    await with_messages(api)
    follower = await asyncio.to_thread(follower_of, api)
    assert await asyncio.to_thread(follower.look, live_commands.KINDS) == []
    [queued] = (await api.get("/notifications?status=queued")).data
    await attempted(api, UUID(queued["id"]), succeeds=True)
    [broken] = await failed(api, BROKEN)
    found = await asyncio.to_thread(follower.look, live_commands.KINDS)
    assert {(one["kind"], one["id"]) for one in found} >= {
        ("delivery", queued["id"]), ("execution", str(broken)), ("failure", str(broken)),
    }  # fmt: skip
    assert await asyncio.to_thread(follower.look, live_commands.KINDS) == []


def follower_of(api: Api) -> live_commands.Follower:
    """A follower that begins now."""
    return live_commands.Follower(Client(api.url, TOKEN), {}, datetime.now(UTC))


def test_what_was_seen_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest states are forgotten."""
    monkeypatch.setattr(live_commands, "MAX_SEEN", 10)
    follower = live_commands.Follower(Client("http://127.0.0.1:9", "x"), {}, datetime.now(UTC))
    assert all(follower.is_new((number,)) for number in range(25))
    assert len(follower.seen) == 10
    assert not follower.is_new((24,))


DEFAULT_SIGINT = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""A shell that runs the tests in the background makes them, and the processes that they start, ignore the signal."""


@pytest.mark.starts_processes
@pytest.mark.parametrize("command", [["tail", "--since", "1h"], ["stats", "--watch"]])
async def test_ctrl_c_ends_it_cleanly(api: Api, command: list[str]) -> None:
    """Exit code 0, and no stack trace."""
    await with_messages(api)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"{DEFAULT_SIGINT}; {ENTRY}", *command,
        env={"PATH": os.environ["PATH"], "FILAS_URL": api.url, "FILAS_ADMIN_TOKEN": TOKEN},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (process.returncode, err.decode().strip()) == (0, "")


async def test_the_statistics_are_shown_again(api: Api) -> None:
    """With the time; as JSON one object a line."""
    run = await inside(api, "stats", "--watch", "--interval", "0.5", "--for", "3s")
    assert run.out.count("QUEUE") >= 2
    lines = (await inside(api, "stats", "--watch", "--json", *ONCE)).out.splitlines()
    assert [json.loads(line)["summary"]["totalWaiting"] for line in lines] == [0]


def test_an_api_that_does_not_answer_for_a_while_is_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    """And the calls continue. A first call that fails ends the command."""
    answers = iter(["ok", "unavailable", "unavailable", "ok", "stop"])

    def work() -> None:
        answer = next(answers)
        if answer == "unavailable":
            raise CommandFailed("nothing answers.")
        if answer == "stop":
            raise KeyboardInterrupt

    live_commands.repeat(work, 0)
    assert capsys.readouterr().err == "nothing answers. Still trying.\n\n"
    answers = iter(["unavailable"])
    with pytest.raises(CommandFailed):
        live_commands.repeat(work, 0)


@pytest.mark.starts_processes
async def test_logs_shows_the_files_of_make_up(tmp_path: Path) -> None:
    """The last lines of all processes by their times, or of one; and where they are."""
    none = await filas("logs", environ={"FILAS_HOME": str(tmp_path)})
    assert (none.code, "docker compose logs" in none.err) == (1, True)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "notifier.log").write_text("2026-11-27 09:00:02 [info] second\n  more\n")
    (tmp_path / "log" / "flow-runner.log").write_text("old\n2026-11-27T09:00:01Z first\n2026-11-27T09:00:03Z third\n")
    run = await filas("logs", "--lines", "2", environ={"FILAS_HOME": str(tmp_path)})
    assert run.out.splitlines() == [
        "flow-runner: 2026-11-27T09:00:01Z first",
        "notifier: 2026-11-27 09:00:02 [info] second",
        "notifier:   more",
        "flow-runner: 2026-11-27T09:00:03Z third",
    ]
    assert str(tmp_path / "log" / "notifier.log") in run.err
    one = await filas("logs", "notifier", "--lines", "1", environ={"FILAS_HOME": str(tmp_path)})
    assert one.out == "notifier:   more\n"
    wrong = await filas("logs", "nothing", environ={"FILAS_HOME": str(tmp_path)})
    assert (wrong.code, "flow-runner, notifier" in wrong.err) == (1, True)
