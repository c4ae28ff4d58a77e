"""`filas queues …` and `filas stats`: the counts of the queues, pause, resume and clean."""

from datetime import UTC, datetime
from typing import Any

import click

from filas.cli import options
from filas.cli.api_client import Client, from_environment
from filas.cli.live_commands import repeat
from filas.cli.output import as_json, json_line, show_json, show_result, show_table, table_text
from filas.contract import policies

_COUNTS = ("waiting", "active", "delayed", "completed", "failed")


@click.group()
def queues() -> None:
    """The queues: list, stats, pause, resume, clean. `filas jobs` lists their jobs."""


@queues.command()
@click.option("--watch", is_flag=True, help="Show the counts again and again, until Ctrl-C.")
@click.option("--interval", type=click.FloatRange(0.5, 60), default=2, show_default=True, help="Seconds, with --watch.")
@click.option("--for", "duration_ms", metavar="TIME", callback=options.milliseconds, help="End --watch after 30s, 10m.")
@as_json
def stats(watch: bool, interval: float, duration_ms: int | None, as_json: bool) -> None:
    """Count the jobs of each queue: waiting, active, delayed, completed, failed; and the executions that failed.

    With --watch, --json prints one object a line.
    """
    client = from_environment()

    def show() -> None:
        if as_json:
            json_line(client.get("queue", "stats"))
            return
        text = stats_text(client)
        click.clear()
        click.echo(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n{text}\n")

    if watch:
        repeat(show, interval, duration_ms)
    elif as_json:
        show_json(client.get("queue", "stats"))
    else:
        click.echo(stats_text(client))


def stats_text(client: Client) -> str:
    """Returns the counts of the queues as a table, with a line about executions."""
    found = client.get("queue", "stats")
    rows = [
        (policies.BY_SHORT[short].name if short in policies.BY_SHORT else short, *(counts[name] for name in _COUNTS))
        for short, counts in found["queues"].items()
    ]
    summary = found["summary"]
    rows.append(("all", *(summary[f"total{name.capitalize()}"] for name in _COUNTS)))
    text = table_text(("QUEUE", *(name.upper() for name in _COUNTS)), rows)
    counts = client.get("executions", "counts")
    return f"{text}\n\nExecutions of the last 24 hours: {counts['failed']} failed, {counts['timedOut']} timed out"


@queues.command("list")
@as_json
def list_queues(as_json: bool) -> None:
    """Show each queue with its jobs, its oldest waiting job and its workers."""
    found = from_environment().get("queues")
    if as_json:
        show_json(found)
        return
    rows = [
        (item["name"], *(item["counts"][name] for name in _COUNTS[:3]),
         f"{item['counts']['oldestWaitingMs'] / 1000:.1f} s", item["workers"], f"{item['running']} of {item['slots']}",
         item["pausedSince"])
        for item in found
    ]  # fmt: skip
    headings = ("QUEUE", "WAITING", "ACTIVE", "DELAYED", "OLDEST", "WORKERS", "BUSY", "PAUSED")
    show_table(headings, rows, nothing="No queues")


@queues.command()
@click.argument("queue", type=options.QUEUES)
@as_json
def pause(queue: str, as_json: bool) -> None:
    """Pause QUEUE: its workers claim no job. Jobs that run end as usual."""
    done = from_environment().post("queue", queue, "pause")
    show_result(done, f"{done['queue']} {'paused' if done['changed'] else 'was paused already'}", as_json=as_json)


@queues.command()
@click.argument("queue", type=options.QUEUES)
@as_json
def resume(queue: str, as_json: bool) -> None:
    """Resume QUEUE, which was paused."""
    done = from_environment().post("queue", queue, "resume")
    show_result(done, f"{done['queue']} {'resumed' if done['changed'] else 'was not paused'}", as_json=as_json)


@queues.command()
@options.queue
@click.option("--state", type=click.Choice(["completed", "failed"]), help="Only jobs in this state.")
@click.option(
    "--older-than",
    "olderThanMs",
    metavar="AGE",
    callback=options.milliseconds,
    help="An age: 90s, 30m, 24h, 7d.  [default: completed 24h, failed 7d]",
)
@as_json
def clean(as_json: bool, **given: Any) -> None:
    """Remove the records of finished jobs."""
    body = {name: value for name, value in given.items() if value is not None}
    done = from_environment().post("queue", "clean", body=body)
    show_result(done, f"{done['removed']} removed", as_json=as_json)
