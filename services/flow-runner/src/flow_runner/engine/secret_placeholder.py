"""The value that a secret has in a test run."""

import base64
from collections.abc import Mapping

_PREFIX = "secret:"


def placeholder(name: str) -> str:
    """The placeholder of the secret with this name. It is shown, because it helps to find where the secret is used."""
    return _PREFIX + name


def signing_secret(rendered: str, secrets: Mapping[str, str]) -> str:
    """The secret that signs a webhook. A placeholder is no valid one, so a valid one is made of it."""
    if rendered.startswith(_PREFIX) and secrets.get(rendered.removeprefix(_PREFIX)) == rendered:
        return "whsec_" + base64.b64encode(rendered.encode()).decode()
    return rendered
