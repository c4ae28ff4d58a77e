"""Encrypts secrets of webhooks and channels when they are stored, and masks them in answers.

| a PUT has     | stored                                    | a GET shows           |
|---------------|-------------------------------------------|-----------------------|
| `env:NAME`    | `env:NAME`, if SECRET_ENV_ALLOW allows it | `env:NAME`            |
| `***`         | the value that is stored already          | as for that value     |
| anything else | `enc:…`, encrypted with FILAS_SECRET_KEY  | `***`                 |
"""

import re

from filas.crypto.secret_box import FROM_ENVIRONMENT, SecretBox
from ingest.api.routing.problems import invalid_field

MASK = "***"
_ENVIRONMENT_NAME = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")


def names_variable(value: str) -> bool:
    """Whether the secret names an environment variable."""
    return value.startswith(FROM_ENVIRONMENT)


def sealed(box: SecretBox, field: str, value: str, stored: str | None) -> str:
    """Returns what to store for the secret `value`; `stored` is the present value. Raises the 422 for `field`."""
    if value == MASK:
        if stored is None:
            raise invalid_field(field, "`***` keeps the stored secret, but no secret is stored")
        value = stored
        if not names_variable(stored):
            return stored
    if names_variable(value):
        if not _ENVIRONMENT_NAME.fullmatch(value):
            raise invalid_field(field, "`env:` must be followed by the name of an environment variable")
        refusal = box.variables.refusal(value.removeprefix(FROM_ENVIRONMENT))
        if refusal is not None:
            raise invalid_field(field, refusal)
        return value
    if not value:
        raise invalid_field(field, "the secret is empty")
    return box.seal(value)


def masked(value: str) -> str:
    """Returns the secret as an answer shows it."""
    return value if _ENVIRONMENT_NAME.fullmatch(value) else MASK
