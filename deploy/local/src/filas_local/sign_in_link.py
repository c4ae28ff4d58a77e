"""The link to the dashboard that `filas up` prints. It signs in once, within five minutes."""

from filas.cli.api_client import Client, CommandFailed
from filas_local.launching import LocalRunError


def create(api_url: str, token: str) -> str:
    """Returns the address. Raises LocalRunError."""
    try:
        return f"{api_url}{Client(api_url, token).post('sign-in-links')['path']}"
    except CommandFailed as error:
        raise LocalRunError(f"the sign-in link cannot be created: {error.message}") from None
