"""Secrets in webhooks and channels: sealed when they are put, masked when they are shown.

| what a PUT sends | what is stored                       | what a GET shows |
|------------------|--------------------------------------|------------------|
| `env:NAME`       | `env:NAME`                           | `env:NAME`       |
| `***`            | what is stored already, at its place | as that          |
| anything else    | `enc:…`, sealed with FILAS_SECRET_KEY | `***`           |
"""

import re

from filas.crypto.secret_box import SecretBox
from ingest.api.routing.problems import invalid_field

MASK = "***"
_ENVIRONMENT_NAME = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")


def names_variable(value: str) -> bool:
    """Whether the secret is a reference to an environment variable."""
    return value.startswith("env:")


def sealed(box: SecretBox, field: str, value: str, stored: str | None) -> str:
    """What is to be stored for the secret `value`; `stored` is what stands there now. 422 names `field`."""
    if value == MASK:
        if stored is None:
            raise invalid_field(field, "`***` keeps the stored secret, but none is stored here")
        return stored
    if names_variable(value):
        if not _ENVIRONMENT_NAME.fullmatch(value):
            raise invalid_field(field, "`env:` is followed by the name of an environment variable")
        return value
    if not value:
        raise invalid_field(field, "a secret may not be empty")
    return box.seal(value)


def masked(value: str) -> str:
    """The secret as an answer may show it."""
    return value if _ENVIRONMENT_NAME.fullmatch(value) else MASK
