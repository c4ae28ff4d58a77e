"""`filas analytics …`: figures over time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import click

from filas.cli import options
from filas.cli.api_client import from_environment
from filas.cli.output import as_json, show_json, show_table
from filas.models.analytics import Figure, GroupOrder, Resolution

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_FIGURES = click.Choice(get_args(Figure))
_SECOND_MS = 1000.0
_MINUTE_MS = 60_000.0


def _period(_ctx: click.Context, _param: click.Parameter, value: str | None) -> timedelta | None:
    """Converts a period such as `30m`, `24h` or `90d`. Raises click.BadParameter."""
    if value is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})([mhd])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not a period such as 30m, 24h or 90d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def of_period(function: Any) -> Any:
    """Adds the options of the period."""
    for option in (
        click.option("--step", type=click.Choice(get_args(Resolution)), help="The buckets. [default: by the period]"),
        click.option("--until", metavar="TIME", help="The end, not included (2026-11-22T12:00:00Z). [default: now]"),
        click.option("--since", metavar="TIME", help="The beginning, instead of --period."),
        click.option("--period", metavar="PERIOD", callback=_period, help="30m, 24h, 90d. [default: 1h]"),
    ):
        function = option(function)
    return function


def _of_subject(function: Any) -> Any:
    """Adds the options of the subject."""
    for option in (
        click.option("--queue", type=options.QUEUES, help="Only this queue."),
        click.option("--channel", "channelId", metavar="ID", help="Only this channel."),
        click.option("--flow", "flowId", metavar="ID", help="Only this flow."),
        click.option("--webhook", "webhookId", metavar="ID", help="Only this webhook."),
    ):
        function = option(function)
    return function


def _as_csv(function: Any) -> Any:
    """Adds `--csv`."""
    return click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for a spreadsheet.")(function)


def _show_csv(*path: str, **query: Any) -> None:
    click.echo(from_environment().text("analytics", *path, format="csv", **query).replace("\r\n", "\n"), nl=False)


@click.group()
def analytics() -> None:
    """Figures over time: how many, with which outcome, how long."""


@analytics.command("summary")
@of_period
@as_json
def show_summary(as_json: bool, **period: Any) -> None:
    """Show the totals of a period, compared with the period before."""
    found = from_environment().get("analytics", **period_query(period))
    if as_json:
        show_json(found)
        return
    rows = [
        (name, one["total"]["count"], one["previous"]["count"], *_details(one["total"]))
        for name, one in found["figures"].items()
    ]
    show_table(("FIGURE", "COUNT", "BEFORE", "OUTCOMES", "P50", "P95", "P99"), rows, nothing="", exact_times=True)


@analytics.command("show")
@click.argument("figure", type=_FIGURES)
@click.option("--node", "nodeId", metavar="ID", help="Only this node, with --flow.")
@_of_subject
@of_period
@_as_csv
@as_json
def show_series(figure: str, as_json: bool, as_csv: bool, **options: Any) -> None:
    """Show FIGURE over time."""
    if as_csv:
        _show_csv(figure, **period_query(options))
        return
    found = from_environment().get("analytics", figure, **period_query(options))
    if as_json:
        show_json(found)
        return
    rows = [(one["at"], one["count"], *_details(one)) for one in found["points"]]
    rows.append(("total", found["total"]["count"], *_details(found["total"])))
    show_table((found["step"].upper(), "COUNT", "OUTCOMES", "P50", "P95", "P99"), rows, nothing="", exact_times=True)


@analytics.command("groups")
@click.argument("figure", type=_FIGURES)
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--order", type=click.Choice(get_args(GroupOrder)), default="count", show_default=True)
@_of_subject
@of_period
@_as_csv
@as_json
def show_groups(figure: str, as_json: bool, as_csv: bool, **options: Any) -> None:
    """Show FIGURE by webhook, flow, node, channel or queue, ordered."""
    if as_csv:
        _show_csv(figure, "groups", **period_query(options))
        return
    found = from_environment().get("analytics", figure, "groups", **period_query(options))
    if as_json:
        show_json(found)
        return
    rows = [
        (one["subject"] or "(none)", one["nodeId"], one["count"], one["previousCount"], *_details(one))
        for one in found["groups"]
    ]
    show_table(
        ("SUBJECT", "NODE", "COUNT", "BEFORE", "OUTCOMES", "P50", "P95", "P99"),
        rows,
        nothing="No figures in this period",
    )


def period_query(options: dict[str, Any]) -> dict[str, Any]:
    """The query parameters of the API. Raises click.UsageError."""
    query = dict(options)
    period: timedelta | None = query.pop("period")
    if period is not None and query["since"] is not None:
        raise click.UsageError("--period and --since exclude each other")
    if period is not None:
        query["since"] = (_end(query["until"]) - period).isoformat()
    return query


def _end(until: str | None) -> datetime:
    if until is None:
        return datetime.now(UTC)
    try:
        return datetime.fromisoformat(until)
    except ValueError:
        raise click.UsageError(f"--until {until!r} is not a time such as 2026-11-22T12:00:00Z") from None


def _details(totals: dict[str, Any]) -> tuple[str | None, ...]:
    outcomes = ", ".join(f"{count} {name}" for name, count in totals["outcomes"].items())
    times = totals["times"]
    return outcomes or None, *(duration(times[name]) for name in ("p50Ms", "p95Ms", "p99Ms"))


def duration(ms: float | None) -> str | None:
    if ms is None:
        return None
    if ms < _SECOND_MS:
        return f"{ms:.0f} ms"
    return f"{ms / _SECOND_MS:.1f} s" if ms < _MINUTE_MS else f"{ms / _MINUTE_MS:.1f} min"
