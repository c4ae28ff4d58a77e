"""`filas keys …` and `filas audit`: who may use the API, and who has changed what."""

from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import click

from filas.cli import options
from filas.cli.api_client import Client, CommandFailed, from_environment
from filas.cli.lazy_commands import LazyGroup
from filas.cli.output import always_json, as_json, show_json, show_result, show_table
from filas.cli.times import both
from filas.models.access import Role

_MAX_CHANGES = 4


@click.group()
def keys() -> None:
    """The keys of the API: list, create, revoke."""


@keys.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True)
@as_json
def list_keys(limit: int, as_json: bool) -> None:
    """List the keys, the newest first. Their values are not stored."""
    found = list(from_environment().items("keys", limit=limit))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], item["name"], item["role"], f"{item['prefix']}…", _state(item), item["expiresAt"],
         item["lastUsedAt"], item["createdBy"])
        for item in found
    ]  # fmt: skip
    headings = ("ID", "NAME", "ROLE", "KEY", "STATE", "EXPIRES", "LAST USE", "CREATED BY")
    show_table(headings, rows, nothing="No keys yet: `filas keys create NAME --role viewer` creates one")


def _state(key: dict[str, Any]) -> str:
    if key["revokedAt"]:
        return "revoked"
    expires_at = key["expiresAt"]
    return "expired" if expires_at and datetime.fromisoformat(expires_at) <= datetime.now(UTC) else "valid"


@keys.command()
@click.argument("name")
@click.option("--role", type=click.Choice(get_args(Role)), required=True, help="What the key may do.")
@click.option(
    "--expires",
    metavar="AGE|TIME",
    callback=options.future,
    help="How long it is valid: 12h, 90d, or until a time.  [default: until it is revoked]",
)
@as_json
def create(name: str, role: str, expires: str | None, as_json: bool) -> None:
    """Create a key for the person or program NAME, and print its value. It is not shown again."""
    body = {"name": name, "role": role} | ({} if expires is None else {"expiresAt": expires})
    created = from_environment().post("keys", body=body)
    if as_json:
        show_json(created)
        return
    until = f"until {both(created['expiresAt'])}" if created["expiresAt"] else "until it is revoked"
    click.echo(f"{name} ({role}), valid {until}; the key is not shown again:", err=True)
    click.echo(created["key"])


@keys.command()
@click.argument("key", metavar="ID|KEY")
@as_json
def revoke(key: str, as_json: bool) -> None:
    """Revoke a key, given by its id or by its first characters. It is refused within two seconds."""
    client = from_environment()
    revoked = client.delete("keys", _key_id(client, key))
    if as_json:
        show_json(revoked)
        return
    click.echo(f"{revoked['name']} ({revoked['role']}, {revoked['prefix']}…) revoked")


def _key_id(client: Client, text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        found = [item for item in client.items("keys", limit=10_000) if _matches(item, text)]
    if len(found) != 1:
        many = "several keys begin" if found else "no valid key begins"
        raise CommandFailed(f"{many} with {text[:12]!r}: `filas keys list` shows their ids")
    return str(found[0]["id"])


def _matches(key: dict[str, Any], text: str) -> bool:
    """Whether the valid key begins with `text`, or `text` with what is known of the key."""
    beginning = text.rstrip("…")
    prefix = key["prefix"]
    return (
        len(beginning) > 6 and not key["revokedAt"] and (prefix.startswith(beginning) or beginning.startswith(prefix))
    )


@keys.command()
@as_json
def current(as_json: bool) -> None:
    """Show the key that the commands use: its name, its role, until when it is valid."""
    found = from_environment().get("keys", "current")
    until = f", valid until {both(found['expiresAt'])}" if found["expiresAt"] else ""
    show_result(found, f"{found['name']} ({found['role']}){until}", as_json=as_json)


@click.group(cls=LazyGroup, default="list")
def audit() -> None:
    """Who changed what: list, show."""


@audit.command("list")
@click.option("--who", metavar="NAME", help="Only changes by this key, or by `admin token`.")
@click.option("--action", metavar="ACTION", help="Only this action (putWebhook, signInFailed).")
@click.option("--subject", metavar="SUBJECT", help="Only this subject (webhooks/shop) or kind of subject (webhooks).")
@options.period("made")
@options.limit
@as_json
def list_audit(limit: int, as_json: bool, **filters: Any) -> None:
    """List who changed what, the newest first. --json also shows before and after."""
    found = list(from_environment().items("audit", limit=limit, **filters))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["at"], item["who"], item["address"], item["action"], item["subject"], item["outcome"], _change(item))
        for item in found
    ]
    headings = ("TIME", "WHO", "ADDRESS", "ACTION", "SUBJECT", "OUTCOME", "CHANGE")
    show_table(headings, rows, nothing="No changes")


@audit.command("show")
@click.argument("entry_id", metavar="ID")
@always_json
def show_entry(entry_id: str) -> None:
    """Show one entry, with the values before and after the change."""
    show_json(from_environment().get("audit", entry_id))


def _change(entry: dict[str, Any]) -> str | None:
    """Returns what an entry changed in a few words: the fields that differ."""
    before, after = entry["before"], entry["after"]
    if entry["count"] > 1:
        return f"{entry['count']} times"
    if not isinstance(before, dict) or not isinstance(after, dict):
        return "created" if entry["action"].startswith(("put", "create")) and after is not None else None
    differing = [name for name in after if before.get(name) != after[name] and name not in ("revision", "updatedAt")]
    shown = [f"{name}: {_short(before.get(name))} → {_short(after[name])}" for name in differing[:_MAX_CHANGES]]
    return ", ".join(shown) + (", …" if len(differing) > _MAX_CHANGES else "") or None


def _short(value: Any) -> str:
    return "…" if isinstance(value, dict | list) and value else f"{value}"
