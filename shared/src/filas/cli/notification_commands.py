"""`filas notifications …`: the messages that flows send, and their delivery."""

from typing import Any, get_args

import click

from filas.cli import options
from filas.cli.api_client import from_environment
from filas.cli.output import always_json, as_json, error_text, show_json, show_result, show_table
from filas.models.notifications import NotificationStatus


@click.group()
def notifications() -> None:
    """The messages that flows send: list, show, retry, cancel."""


@notifications.command("list")
@click.option("--status", type=click.Choice(get_args(NotificationStatus)), help="Only those with this status.")
@click.option("--channel", "channelId", metavar="ID", help="Only those over this channel.")
@click.option("--execution", "executionId", metavar="ID", help="Only those of this execution.")
@click.option("--conversation", "conversationId", metavar="ID", help="Only those of this conversation.")
@options.period("created")
@options.limit
@as_json
def list_notifications(limit: int, as_json: bool, **filters: Any) -> None:
    """List messages, the newest first."""
    found = list(from_environment().items("notifications", limit=limit, **filters))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], item["channelId"], item["recipient"], item["createdAt"], item["status"], item["attempts"],
         error_text(item["error"]))
        for item in found
    ]  # fmt: skip
    headings = ("ID", "CHANNEL", "TO", "CREATED", "STATUS", "ATTEMPTS", "ERROR")
    show_table(headings, rows, nothing="No notifications")


@notifications.command()
@click.argument("notification_id", metavar="ID")
@always_json
def show(notification_id: str) -> None:
    """Print a message with every attempt to deliver it."""
    show_json(from_environment().get("notifications", notification_id))


@notifications.command()
@click.argument("notification_id", metavar="ID")
@as_json
def retry(notification_id: str, as_json: bool) -> None:
    """Send a failed or cancelled message again, under the same idempotency key."""
    put = from_environment().post("notifications", notification_id, "retry")
    show_result(put, f"{notification_id} is enqueued as {put['jobId']}{_repeated(put)}", as_json=as_json)


@notifications.command()
@click.argument("notification_id", metavar="ID")
@as_json
def cancel(notification_id: str, as_json: bool) -> None:
    """Cancel a message that is not sent yet. One that is being sent is cancelled only if the attempt fails."""
    put = from_environment().post("notifications", notification_id, "cancel")
    show_result(put, f"{notification_id} is being cancelled{_repeated(put)}", as_json=as_json)


def _repeated(put: dict[str, Any]) -> str:
    return " (it was already requested)" if put["duplicate"] else ""
