"""`filas channels …`: where messages go, and whether it works."""

from typing import Any

import click

from filas.cli import options
from filas.cli.api_client import from_environment
from filas.cli.json_documents import read_object
from filas.cli.output import always_json, as_json, show_json, show_result, show_table
from filas.cli.times import both


@click.group()
def channels() -> None:
    """The channels to which messages go: list, show, apply, delete, resume, test."""


@channels.command("list")
@options.limit
@as_json
def list_channels(limit: int, as_json: bool) -> None:
    """List the channels, each with the state of its circuit."""
    found = list(from_environment().items("channels", limit=limit))
    if as_json:
        show_json(found)
        return
    rows = [(item["id"], item["type"], _circuit(item), item["updatedAt"]) for item in found]
    show_table(("ID", "TYPE", "CIRCUIT", "CHANGED"), rows, nothing="No channels yet")


def _circuit(channel: dict[str, Any]) -> str:
    circuit = channel["circuit"]
    if circuit is None:
        return "unknown: Redis does not answer"
    reason = f" ({circuit['reason']})" if circuit["reason"] else ""
    until = f" until {both(circuit['until'])}" if circuit["state"] == "open" and circuit["until"] else ""
    failures = f", {circuit['failures']} failures in a row" if circuit["failures"] else ""
    return f"{circuit['state']}{reason}{until}{failures}"


@channels.command()
@click.argument("channel_id", metavar="ID")
@always_json
def show(channel_id: str) -> None:
    """Print the channel ID with its secrets masked, and the state of its circuit."""
    show_json(from_environment().get("channels", channel_id))


@channels.command()
@click.argument("channel_id", metavar="ID")
@click.argument("file", metavar="FILE")
@as_json
def apply(channel_id: str, file: str, as_json: bool) -> None:
    """Create or replace the channel ID with FILE (JSON; `-`: standard input). `***` keeps a stored secret."""
    stored = from_environment().put("channels", channel_id, body=read_object(file))
    show_result(stored, f"{stored['id']} ({stored['type']}) is stored", as_json=as_json)


@channels.command()
@click.argument("channel_id", metavar="ID")
@options.delete_force
@as_json
def delete(channel_id: str, force: bool, as_json: bool) -> None:
    """Delete the channel ID. Its unsent messages fail."""
    done = from_environment().delete("channels", channel_id, **options.forced(force))
    show_result(done, f"{channel_id} deleted", as_json=as_json)


@channels.command()
@click.argument("channel_id", metavar="ID")
@as_json
def resume(channel_id: str, as_json: bool) -> None:
    """Close the circuit of the channel ID, and send the messages that wait for it now.

    For a channel that is repaired before its pause ends. If it still fails, it is paused again.
    """
    done = from_environment().post("channels", channel_id, "resume")
    state = "resumed" if done["changed"] else "was not paused"
    more = "; more wait until they are due" if done["more"] else ""
    show_result(done, f"{channel_id} {state}: {done['promoted']} waiting messages are due now{more}", as_json=as_json)


@channels.command("test")
@click.argument("channel_id", metavar="ID")
@click.option("--to", required=True, metavar="RECIPIENT", help="As the channel names recipients: a number, a room.")
@click.option("--text", default="This is a test message from Filas.", show_default=True, help="The message.")
@as_json
def test_channel(channel_id: str, to: str, text: str, as_json: bool) -> None:
    """Send a test message over the channel ID. It is delivered like every other message."""
    done = from_environment().post("channels", channel_id, "test", body={"to": to, "text": text})
    notification = done["notificationId"]
    sentence = f"notification {notification} is queued; `filas notifications show {notification}` shows its delivery"
    show_result(done, sentence, as_json=as_json)
