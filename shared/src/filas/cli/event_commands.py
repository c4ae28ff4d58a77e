"""`filas events …` and `filas refusals …`: what webhooks received, and what they refused."""

from typing import Any, get_args

import click

from filas.cli import options
from filas.cli.api_client import CommandFailed, from_environment
from filas.cli.json_documents import read_json, read_text
from filas.cli.lazy_commands import LazyGroup
from filas.cli.output import always_json, as_json, error_text, show_json, show_result, show_table, shown
from filas.cli.timeline_tables import show_timeline
from filas.models.events import EventStatus


@click.group()
def events() -> None:
    """The events that webhooks accepted: list, show, replay, replay-all, accept."""


@events.command("list")
@click.option("--webhook", "webhookId", metavar="ID", help="Only those of this webhook.")
@click.option("--status", type=click.Choice(get_args(EventStatus)), help="Only those with this status.")
@click.option("--conversation", "conversationId", metavar="ID", help="Only those of this conversation.")
@click.option("--replay-of", "replayOf", metavar="ID", help="Only those that repeat this event with an edited body.")
@click.option("--text", metavar="WORDS", help="Only those with all of these words, or beginnings of words.")
@click.option("--contact", metavar="ADDRESS", help="Only those that name this contact, in any form.")
@click.option("--reason", metavar="REASON", help="Only those that were ignored for this reason (kind:reaction).")
@options.period("received")
@options.limit
@as_json
def list_events(limit: int, as_json: bool, **filters: Any) -> None:
    """List events, the newest first."""
    found = list(from_environment().items("events", limit=limit, **filters))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], item["webhookId"], item["receivedAt"], item["status"], item["reason"] or error_text(item["error"]))
        for item in found
    ]
    show_table(("ID", "WEBHOOK", "RECEIVED", "STATUS", "REASON"), rows, nothing="No events")


@events.command()
@click.argument("event_id", metavar="ID")
@always_json
def show(event_id: str) -> None:
    """Print an event with its headers and its body."""
    show_json(from_environment().get("events", event_id))


@events.command()
@click.argument("event_id", metavar="ID")
@always_json
def decoded(event_id: str) -> None:
    """Print the body of an event as its flow saw it."""
    show_json(from_environment().get("events", event_id, "decoded"))


@events.command()
@click.argument("event_id", metavar="ID")
@as_json
def timeline(event_id: str, as_json: bool) -> None:
    """Show what happened to an event, from its receipt to the delivery receipts of its messages."""
    found = from_environment().get("events", event_id, "timeline")
    show_json(found) if as_json else show_timeline(found)


@events.command()
@click.argument("event_id", metavar="ID")
@click.option("--body", "file", metavar="FILE", help="Store a new event with the body in FILE (`-`: stdin) instead.")
@as_json
def replay(event_id: str, file: str | None, as_json: bool) -> None:
    """Process an event again, by the present definition of its webhook."""
    body = None if file is None else {"bodyText": read_text(file)}
    done = from_environment().post("events", event_id, "replay", body=body)
    show_result(done, f"enqueued as {', '.join(done['jobIds'])}", as_json=as_json)


@events.command("replay-all")
@click.option("--webhook", "webhookId", metavar="ID", help="Only those of this webhook.")
@click.option(
    "--status",
    type=click.Choice([one for one in get_args(EventStatus) if one != "received"]),
    default="failed",
    show_default=True,
    help="Only those with this status.",
)
@click.option("--reason", metavar="REASON", help="Only those that were ignored for this reason (filter).")
@click.option("--text", metavar="WORDS", help="Only those with all of these words, or beginnings of words.")
@click.option("--contact", metavar="ADDRESS", help="Only those that name this contact, in any form.")
@options.period("received")
@click.option("--again", is_flag=True, help="Also replay processed events that were replayed before.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True)
@click.option("--rate", type=float, metavar="N", help="Events per second; by default all at once.")
@click.option("--dry-run", is_flag=True, help="Only count them; replay nothing.")
@as_json
def replay_all(as_json: bool, rate: float | None, dry_run: bool, **filters: Any) -> None:
    """Process all matching events again, the oldest first, by the present definitions of their webhooks."""
    order = {name: value for name, value in filters.items() if value is not None}
    if rate is not None:
        order["rate"] = rate
    done = from_environment().post("events", "replay", body={**order, "dryRun": dry_run})
    if as_json:
        show_json(done)
        return
    webhooks = ", ".join(f"{count} of {name}" for name, count in sorted(done["webhooks"].items())) or "none"
    click.echo(f"{done['matched']} match: {webhooks}")
    verb = "would be replayed" if dry_run else "replayed"
    click.echo(f"{done['replayed']} {verb}" + (f", the last one due in {done['takesS']:.0f} s" if rate else ""))
    if done["more"]:
        click.echo(f"more than {order['limit']} match: run the command again for the rest")


@events.command()
@click.argument("file", metavar="FILE")
@as_json
def accept(file: str, as_json: bool) -> None:
    """Accept the events in FILE (JSON; `-`: standard input): a list of `{"webhookId": …, "body": …}`.

    Signatures and rate limits are not checked. Exit code 1 if an event was not accepted.
    """
    given = read_json(file)
    done = from_environment().post("events", body=given if isinstance(given, dict) else {"events": given})
    words = f"{done['accepted']} accepted, {done['duplicates']} duplicates, {done['failed']} not accepted"
    show_result(done, words, as_json=as_json)
    for place, one in enumerate(done["events"], 1):
        if "error" in one:
            click.echo(shown(f"event {place}: {one['error']['detail']}"), err=True)
    if done["failed"]:
        raise CommandFailed(f"{done['failed']} events were not accepted")


@click.group(cls=LazyGroup, default="list")
def refusals() -> None:
    """The requests to webhooks that were refused: list, groups, show."""


@refusals.command("list")
@click.option("--webhook", "webhookId", metavar="ID", help="Only those to this webhook.")
@click.option("--path", metavar="PATH", help="Only those to this path (shop, /webhooks/shop).")
@click.option("--reason", metavar="REASON", help="Only those with this reason (signature, too-large).")
@click.option("--status", type=click.IntRange(400, 499), help="Only those with this status.")
@click.option("--address", metavar="ADDRESS", help="Only those from this address.")
@options.period("received")
@options.limit
@as_json
def list_refusals(limit: int, as_json: bool, **filters: Any) -> None:
    """List refused requests, the newest first. --json also shows their headers and the beginning of their bodies."""
    found = list(from_environment().items("refusals", limit=limit, **filters))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["receivedAt"], item["status"], item["reason"], f"{item['method']} {item['path']}", item["address"],
         item["size"], item["detail"])
        for item in found
    ]  # fmt: skip
    headings = ("RECEIVED", "STATUS", "REASON", "REQUEST", "ADDRESS", "BYTES", "DETAIL")
    show_table(headings, rows, nothing="No refused requests")


@refusals.command()
@click.option("--webhook", "webhookId", metavar="ID", help="Only those to this webhook.")
@click.option("--reason", metavar="REASON", help="Only those with this reason (signature, too-large).")
@options.period("received")
@as_json
def groups(as_json: bool, **filters: Any) -> None:
    """Show the refused requests by webhook and reason, the largest groups first."""
    found = from_environment().get("refusals", "groups", **filters)
    if as_json:
        show_json(found)
        return
    rows = [
        (item["webhookId"], item["reason"], item["status"], item["count"], item["addresses"], item["firstAt"],
         item["lastAt"], item["lastDetail"])
        for item in found
    ]  # fmt: skip
    headings = ("WEBHOOK", "REASON", "STATUS", "COUNT", "ADDRESSES", "FIRST", "LAST", "LAST DETAIL")
    show_table(headings, rows, nothing="No refused requests")


@refusals.command("show")
@click.argument("refusal_id", metavar="ID")
@always_json
def show_refusal(refusal_id: str) -> None:
    """Show a refused request with its headers and the beginning of its body."""
    show_json(from_environment().get("refusals", refusal_id))
