"""The operator's commands against a running API: what they print, and how they end."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from click.testing import CliRunner

from filas.cli.doctor_command import CHECK_S, examine
from filas.cli.migrate_command import migrate as migrate_command
from filas.contract.new_job import NewJob
from filas.contract.policies import FLOWS
from filas.repository.executions.execution_repository import ExecutionRepository
from filas_local.servers import PostgresServer, RedisServer
from tests.freezing import frozen
from tests.ingest.api.serving import TOKEN, Api, serving
from tests.ingest.api.test_history import new_event, with_messages
from tests.shared.cli.running import Run, filas


@pytest_asyncio.fixture
async def api(redis_url: str, postgres_dsn: str) -> AsyncIterator[Api]:
    """A running API."""
    async with serving(redis_url, postgres_dsn) as running:
        yield running


async def asked(api: Api, *arguments: str, given: Any = None) -> Run:
    """A command that asks this API; `given` is its input as JSON."""
    environ = {"FILAS_URL": api.url, "FILAS_ADMIN_TOKEN": TOKEN}
    return await filas(*arguments, environ=environ, given="" if given is None else json.dumps(given))


async def test_stats_shows_a_row_a_queue(api: Api) -> None:
    """Every queue, and the sum."""
    run = await asked(api, "stats")
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    assert lines[0].split() == ["QUEUE", "WAITING", "ACTIVE", "DELAYED", "COMPLETED", "FAILED"]
    assert [line.split()[0] for line in lines[1:5]] == ["webhook-processing", "flow-processing", "notifications", "all"]
    assert lines[5:] == ["", "Executions of the last 24 hours: 0 failed, 0 timed out"]
    assert (await asked(api, "stats", "--json")).json["summary"]["totalWaiting"] == 0


async def test_a_webhook_is_applied_shown_listed_and_deleted(api: Api, tmp_path: Path) -> None:
    """The whole life of a webhook, from a file."""
    file = tmp_path / "webhook.json"
    file.write_text(json.dumps({"flowId": "greeting", "auth": {"type": "bearer", "secrets": ["hush"]}}))
    refused = await asked(api, "webhook", "apply", "orders", str(file))
    assert (refused.code, "no flow 'greeting' is stored" in refused.err) == (1, True)
    applied = await asked(api, "webhook", "apply", "--force", "orders", str(file))
    assert (applied.code, applied.out) == (0, "/webhooks/orders starts greeting at start\n")
    assert applied.err.startswith("warning: flowId: no flow 'greeting' is stored")
    shown = await asked(api, "webhook", "get", "orders")
    assert shown.json["auth"]["secrets"] == ["***"]
    assert "bearer" in (await asked(api, "webhook", "list")).out
    assert (await asked(api, "webhook", "delete", "orders")).code == 0
    gone = await asked(api, "webhook", "get", "orders")
    assert (gone.code, gone.err) == (1, "Error: Not found: no webhook 'orders'. `filas webhooks list` lists them.\n")


async def test_empty_lists_say_so(api: Api) -> None:
    """A sentence instead of headings without rows."""
    assert (await asked(api, "dead-letters", "list")).out == "No dead letters\n"
    assert (await asked(api, "flow", "list")).out == "No flows yet\n"
    assert (await asked(api, "jobs", "flow", "active")).out == "No active jobs in flow\n"


async def test_events_and_refusals_are_listed(api: Api) -> None:
    """Each with its reason. A filter that nothing matches gives an empty list."""
    event = new_event()
    await api.context.events.insert_many([event])
    reasons = {event.id: "kind:reaction"}
    await ExecutionRepository(api.database).start_many([(event.id, [])], reasons=reasons)
    listed = await asked(api, "events", "list", "--status", "ignored", "--reason", "kind:reaction")
    assert "kind:reaction" in listed.out
    assert (await asked(api, "events", "show", str(event.id))).json["reason"] == "kind:reaction"
    assert (await asked(api, "events", "list", "--webhook", "other")).out == "No events\n"
    assert (await asked(api, "refusals", "list", "--webhook", "shop", "--status", "401")).out == "No refused requests\n"
    assert (await asked(api, "refusals", "list", "--since", "2026-11-22T12:00:00Z", "--json")).json == []


async def test_executions_are_listed_with_their_undelivered_messages(api: Api) -> None:
    """And shown with the delivery state of each message."""
    execution = await with_messages(api)
    assert "succeeded (1 undelivered)" in (await asked(api, "executions", "list")).out
    shown = (await asked(api, "executions", "show", str(execution))).json
    assert [one["status"] for one in shown["messages"]] == ["sent", "failed", "queued"]


async def test_clean_prints_how_many(api: Api) -> None:
    """Nothing is there to be removed."""
    run = await asked(api, "clean", "--queue", "webhook", "--state", "completed", "--older-than", "1h")
    assert (run.code, run.out) == (0, "0 removed\n")


async def test_a_job_that_is_not_there_is_refused(api: Api) -> None:
    """One line, exit code 1."""
    for action in ("show", "retry", "promote", "cancel"):
        run = await asked(api, "job", action, "{flow-processing}:nothing")
        assert run.code == 1
        assert len(run.err.splitlines()) == 1


async def test_the_cancel_of_a_job_prints_whether_the_job_runs(api: Api) -> None:
    """A job that runs is not reported as cancelled."""
    put = await api.context.producer.enqueue(NewJob(FLOWS, "a", None))
    assert (await asked(api, "job", "cancel", put.job_id)).out == f"{put.job_id} cancelled\n"
    await api.context.redis.command("SET", f"arq:in-progress:{put.job_id}", "epoch-1-1")
    run = await asked(api, "job", "cancel", put.job_id)
    assert run.out == f"{put.job_id} is running: it is being cancelled, unless it ends before\n"


# ---- without an API ---------------------------------------------------------------------------------


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("arguments", "environ", "word"),
    [
        (["stats"], {}, "FILAS_ADMIN_TOKEN"),
        (["stats"], {"FILAS_ADMIN_TOKEN": "line\nbreak"}, "FILAS_ADMIN_TOKEN"),
        (["stats"], {"FILAS_ADMIN_TOKEN": "x", "FILAS_URL": "localhost"}, "FILAS_URL"),
        (["stats"], {"FILAS_ADMIN_TOKEN": "x", "FILAS_URL": "http://[::1"}, "FILAS_URL"),
        (["migrate"], {}, "DATABASE_URL"),
        (["doctor"], {"NOTIFIER_ADMIN_PORT": "many"}, "NOTIFIER_ADMIN_PORT"),
        (["flow", "check", "no-such-file.json"], {}, "no-such-file.json"),
        (["flow", "check", "-"], {}, "not JSON"),
        (["clean", "--older-than", "soon"], {}, "age"),
        (["jobs", "no-such-queue"], {}, "no-such-queue"),
        (["no-such-command"], {}, "no-such-command"),
    ],
)
async def test_a_wrong_call_or_setting_exits_with_2(arguments: list[str], environ: dict[str, str], word: str) -> None:
    """The last line on standard error names what is wrong, and there is no stack trace."""
    run = await filas(*arguments, environ=environ, given="{")
    assert run.code == 2, run.err
    assert word in run.err.splitlines()[-1]
    assert "Traceback" not in run.err


@pytest.mark.starts_processes
async def test_an_unreachable_api_is_one_line() -> None:
    """Exit code 1; nothing listens on port 9 of the loopback."""
    run = await filas("stats", environ={"FILAS_ADMIN_TOKEN": "x", "FILAS_URL": "http://127.0.0.1:9"})
    assert run.code == 1
    assert run.err.startswith("Error: nothing answers at 127.0.0.1:9: is `make up` ")
    assert len(run.err.splitlines()) == 1


async def test_a_wrong_token_is_one_line(api: Api) -> None:
    """Exit code 1, naming the variable."""
    run = await filas("stats", environ={"FILAS_ADMIN_TOKEN": "wrong", "FILAS_URL": api.url})
    assert (run.code, run.err) == (
        1,
        (
            "Error: the API does not accept FILAS_ADMIN_TOKEN: it is not the token of this installation. "
            "After `make up`, `set -a; . .filas/env` sets it.\n"
        ),
    )


async def test_migrate_may_be_run_again(postgres_dsn: str) -> None:
    """A database at the newest schema stays there."""
    run = await filas("migrate", environ={"DATABASE_URL": postgres_dsn})
    assert run.code == 0, run.err
    assert run.out.startswith("the schema is at ")


@pytest.mark.parametrize(
    ("arguments", "phase"), [([], "all"), (["--phase", "pre"], "pre"), (["--phase", "all"], "all")]
)
def test_migrate_runs_the_given_phase(arguments: list[str], phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is everything. `pre` is for the time in which older processes still run."""
    asked: list[tuple[str, str]] = []

    async def migrate(dsn: str, *, phase: str, **_report: object) -> int:
        asked.append((dsn, phase))
        return 7

    monkeypatch.setattr("filas.repository.migrate.migrate", migrate)
    run = CliRunner().invoke(migrate_command, arguments, env={"DATABASE_URL": "postgresql://db/filas"})
    assert (run.exit_code, run.output) == (0, "the schema is at 7\n")
    assert asked == [("postgresql://db/filas", phase)]


@pytest.mark.starts_processes
async def test_migrate_without_a_server_is_one_line() -> None:
    """Exit code 1, no stack trace."""
    run = await filas("migrate", environ={"DATABASE_URL": "postgresql://x:hush@127.0.0.1:9/x"})
    assert run.code == 1
    assert len(run.err.splitlines()) == 1
    assert "hush" not in run.err


async def test_doctor_reports_which_parts_fail(redis_url: str, postgres_dsn: str) -> None:
    """The stores are OK and no process runs: each failure has its remedy, and the exit code is 1."""
    host, _, database = redis_url.removeprefix("redis://").partition("/")
    environ = {
        "REDIS_HOST": host.split(":")[0],
        "REDIS_PORT": host.split(":")[1],
        "REDIS_DB": database,
        "DATABASE_URL": postgres_dsn,
        "FILAS_ADMIN_TOKEN": "x",
        **{
            f"{name}_ADMIN_PORT": "9" for name in ("INGEST", "INGEST_SERVE", "INGEST_WORKER", "FLOW_RUNNER", "NOTIFIER")
        },
    }
    run = await filas("doctor", "--json", environ=environ)
    assert run.code == 1
    found = {finding["part"]: finding for finding in run.json["parts"]}
    assert found["redis"]["ok"] is True, found
    assert found["postgres"]["ok"] is True, found
    for process in ("ingest serve", "ingest admin", "ingest work", "flow-runner", "notifier"):
        assert found[process]["ok"] is False
        assert "is it running?" in found[process]["detail"]
    assert run.err.splitlines()[-1].startswith("Error: failed: ingest serve")


@pytest.mark.timeout(90)
async def test_doctor_is_quick_and_complete_with_frozen_stores(
    own_redis: RedisServer, own_postgres: PostgresServer
) -> None:
    """Each part has its finding. The checks run at the same time, and each is bounded."""
    address = urlsplit(own_redis.url)
    environ = {
        "REDIS_PORT": str(address.port),
        "DATABASE_URL": own_postgres.dsn(),
        "FILAS_ADMIN_TOKEN": "x",
        **{
            f"{name}_ADMIN_PORT": "9" for name in ("INGEST", "INGEST_SERVE", "INGEST_WORKER", "FLOW_RUNNER", "NOTIFIER")
        },
    }
    with frozen(own_redis, own_postgres):
        began = time.monotonic()
        found = await asyncio.to_thread(examine, environ)
        assert time.monotonic() - began < 3 * CHECK_S
    details = {finding.part: finding.detail for finding in found.parts}
    assert details["redis"].startswith("redis: does not answer")
    assert details["postgres"].startswith("does not answer")
    assert "is it running?" in details["notifier"]
    assert "API" in details


async def test_doctor_reads_the_reasons_of_a_process_that_is_not_ready(api: Api) -> None:
    """A process that waits for a store reports which, and the doctor shows it."""
    run = await filas("doctor", "--json", environ={"FILAS_URL": api.url, "FILAS_ADMIN_TOKEN": TOKEN, "REDIS_PORT": "9"})
    found = {finding["part"]: finding for finding in run.json["parts"]}
    assert found["ingest admin"]["ok"] is True, found
    assert found["API"]["ok"] is True, found
    assert found["redis"]["ok"] is False
    assert "DATABASE_URL" in found["postgres"]["detail"]


@pytest.mark.starts_processes
async def test_help_lists_every_command() -> None:
    """The commands of installed plug-ins are listed too, even if one of them cannot be imported."""
    run = await filas("--help")
    assert run.code == 0
    for command in ("stats", "queues", "jobs", "dead-letters", "flows", "webhooks", "migrate", "doctor", "up"):
        assert f"  {command} " in run.out
    assert "cannot be loaded" not in run.out
