"""`filas alerts …`: alert rules, what fires, and silence."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from filas.cli import options
from filas.cli.api_client import from_environment
from filas.cli.json_documents import read_document
from filas.cli.output import always_json, as_json, show_json, show_result, show_table
from filas.cli.times import both


@click.group()
def alerts() -> None:
    """Alert rules: list, show, apply, delete, silence, test; and what has fired."""


@alerts.command("list")
@as_json
def list_alerts(as_json: bool) -> None:
    """List the alert rules, the standard ones too."""
    found = from_environment().get("alerts")
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], item["metric"], item["threshold"], item["severity"], _state(item), _targets(item["to"]))
        for item in found
    ]
    show_table(("ID", "METRIC", "THRESHOLD", "SEVERITY", "STATE", "TO"), rows, nothing="No alert rules")


@alerts.command()
@click.argument("alert_id", metavar="ID")
@always_json
def show(alert_id: str) -> None:
    """Print an alert rule."""
    show_json(from_environment().get("alerts", alert_id))


@alerts.command()
@click.argument("alert_id", metavar="ID")
@click.argument("file", metavar="FILE")
@as_json
def apply(alert_id: str, file: str, as_json: bool) -> None:
    """Create or replace the alert rule ID from FILE (JSON; `-`: standard input)."""
    stored = from_environment().put("alerts", alert_id, body=read_document(file).value)
    show_result(stored, f"{stored['id']} is stored", as_json=as_json)


@alerts.command()
@click.argument("alert_id", metavar="ID")
@as_json
def delete(alert_id: str, as_json: bool) -> None:
    """Delete a stored alert rule. A standard rule then has its standard definition."""
    done = from_environment().delete("alerts", alert_id)
    show_result(done, f"{alert_id} deleted", as_json=as_json)


@alerts.command()
@click.argument("alert_id", metavar="ID", required=False)
@options.limit
@as_json
def history(alert_id: str | None, limit: int, as_json: bool) -> None:
    """List what has fired, the newest first; of one rule, or of all."""
    path = ("alerts", alert_id, "history") if alert_id else ("alerts", "history")
    found = list(from_environment().items(*path, limit=limit))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["ruleId"], item["subject"] or None, item["state"], item["firedAt"], item["resolvedAt"],
         item["detail"].get("sentence"))
        for item in found
    ]  # fmt: skip
    show_table(("RULE", "SUBJECT", "STATE", "FIRED", "RESOLVED", "WHAT"), rows, nothing="Nothing has fired")


@alerts.command()
@click.argument("alert_id", metavar="ID")
@click.option(
    "--for", "age", metavar="TIME", callback=options.milliseconds, help="How long: 30m, 2h, 7d.  [default: 1h]"
)
@click.option("--end", is_flag=True, help="End the silence.")
@as_json
def silence(alert_id: str, age: int | None, end: bool, as_json: bool) -> None:
    """Announce nothing about an alert rule for a while."""
    until = datetime.now(UTC) + timedelta(milliseconds=age or 3_600_000)
    body: dict[str, Any] = {"until": None if end else until.isoformat()}
    stored = from_environment().post("alerts", alert_id, "silence", body=body)
    state = "is no longer silenced" if end else f"is silenced until {both(stored['silencedUntil'])}"
    show_result(stored, f"{alert_id} {state}", as_json=as_json)


@alerts.command()
@click.argument("alert_id", metavar="ID")
@as_json
def test(alert_id: str, as_json: bool) -> None:
    """Send a test message to the recipients of an alert rule."""
    sent = from_environment().post("alerts", alert_id, "test")
    show_result(sent, f"{len(sent['notificationIds'])} test messages are being sent", as_json=as_json)


def _state(rule: dict[str, Any]) -> str:
    if not rule["enabled"]:
        return "disabled"
    if rule["silencedUntil"]:
        return f"silenced until {both(rule['silencedUntil'])}"
    return "standard" if rule["standard"] else "enabled"


def _targets(targets: list[dict[str, str]]) -> str:
    return ", ".join(f"{one['channel']}:{one['to']}" for one in targets) or "ALERT_TO"
