"""`filas flows traffic` and `uses`: the traffic of a flow, what refers to it, and what it refers to."""

from typing import Any

import click

from filas.cli.analytics_commands import duration, of_period, period_query
from filas.cli.api_client import from_environment
from filas.cli.output import as_json, show_json, show_table


@click.command()
@click.argument("flow_id", metavar="ID")
@click.option("--version", type=click.IntRange(min=1), help="On this version instead of the published one.")
@of_period
@as_json
def traffic(flow_id: str, version: int | None, as_json: bool, **period: Any) -> None:
    """Show the traffic of the flow ID: its nodes, its edges, and where executions ended."""
    found = from_environment().get("flows", flow_id, "traffic", version=version, **period_query(period))
    if as_json:
        show_json(found)
        return
    nodes = [
        (
            one["nodeId"] if one["inVersion"] else f"({one['nodeId']})",
            one["visits"],
            one["failures"] or None,
            duration(one["p50Ms"]),
            duration(one["p95Ms"]),
            ", ".join(f"{count} {status}" for status, count in one["endings"].items()) or None,
            one["waiting"] or None,
        )
        for one in found["nodes"]
    ]
    show_table(("NODE", "VISITS", "FAILURES", "P50", "P95", "ENDED", "WAIT NOW"), nodes, nothing="No nodes")
    click.echo()
    edges = [(one["source"], one["sourceHandle"], one["target"], one["count"]) for one in found["edges"]]
    show_table(("FROM", "HANDLE", "TO", "COUNT"), edges, nothing="No edges")
    if found["edgesSince"] is not None:
        click.echo(f"\nEdges and endings are counted since {found['edgesSince']}.")


@click.command()
@click.argument("flow_id", metavar="ID")
@as_json
def uses(flow_id: str, as_json: bool) -> None:
    """Show what refers to the flow ID, and the flows, channels and secrets that it refers to."""
    found = from_environment().get("flows", flow_id, "uses")
    if as_json:
        show_json(found)
        return
    rows = [("used by", one["kind"], one["id"], one.get("nodeId"), one["field"]) for one in found["usedBy"]]
    rows += [("uses", one["kind"], one["name"], one["nodeId"], one["field"]) for one in found["uses"]]
    show_table(("", "KIND", "ID", "NODE", "FIELD"), rows, nothing="Nothing uses it, and it uses nothing")
