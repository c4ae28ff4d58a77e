"""The value that a secret has in a test run."""

import base64
from collections.abc import Mapping

from filas.flows.templates.url_text import PLACEHOLDER_BEGIN


def placeholder(name: str) -> str:
    """The placeholder of the secret with this name. It is shown, because it helps to find where the secret is used."""
    return PLACEHOLDER_BEGIN + name


def signing_secret(rendered: str, secrets: Mapping[str, str]) -> str:
    """The secret that signs a webhook. A placeholder is no valid one, so a valid one is made of it."""
    if rendered.startswith(PLACEHOLDER_BEGIN) and secrets.get(rendered.removeprefix(PLACEHOLDER_BEGIN)) == rendered:
        return "whsec_" + base64.b64encode(rendered.encode()).decode()
    return rendered
