"""`filas dashboard`: the address of the dashboard, with a sign-in."""

import click

from filas.cli.api_client import from_environment
from filas.cli.output import as_json, show_result


@click.command()
@as_json
def dashboard(as_json: bool) -> None:
    """Print a link to the dashboard that signs you in.

    It works once, within five minutes, and only in a browser on the machine on which Filas runs. It needs the role
    admin. Elsewhere, sign in at /dashboard with a key.
    """
    client = from_environment()
    link = client.post("sign-in-links")
    url = f"{client.url}{link['path']}"
    show_result(link | {"url": url}, url, as_json=as_json)
