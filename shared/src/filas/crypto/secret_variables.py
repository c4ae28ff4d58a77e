"""The environment variables that secrets may name as `env:NAME`.

| variable                                          | may be read                      |
|---------------------------------------------------|----------------------------------|
| a setting of Filas or of its stores               | never, whatever SECRET_ENV_ALLOW |
| any other that matches a pattern SECRET_ENV_ALLOW | yes                              |
| any other                                         | no                               |

Without this rule, an administrator of the API could store `env:FILAS_SECRET_KEY` as a secret and show it in a flow.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Final

from filas.errors import SecretUnreadable
from filas.settings.process_settings import PROCESSES
from filas.settings.setting_groups import DEFAULT_SECRET_ENV_ALLOW
from filas.settings.settings_reader import variables

_RESERVED: Final = (
    "DATABASE_*",
    "FILAS_*",
    "FLOW_RUNNER_*",
    "GRAFANA_*",
    "INGEST_*",
    "NOTIFIER_*",
    "OTEL_*",
    "PG*",
    "POSTGRES*",
    "REDIS*",
)
"""Names that belong to Filas, its stores, its database driver, and the containers beside it, beyond the settings."""


class SecretVariables:
    """The variables `environ` of this process, as far as secrets may name them. `allow` has patterns of `fnmatch`."""

    def __init__(self, environ: Mapping[str, str], allow: Sequence[str] = DEFAULT_SECRET_ENV_ALLOW) -> None:
        self._environ = environ
        self._allow = tuple(allow)

    def __repr__(self) -> str:
        return f"SecretVariables({','.join(self._allow)})"

    def refusal(self, name: str) -> str | None:
        """Why no secret may name this variable, in one sentence; None: a secret may."""
        if _is_own(name):
            return f"the environment variable {name} is a setting of Filas, which SECRET_ENV_ALLOW cannot allow"
        if any(fnmatchcase(name, pattern) for pattern in self._allow):
            return None
        return f"the environment variable {name} does not match SECRET_ENV_ALLOW ({','.join(self._allow)})"

    def read(self, name: str) -> str:
        """The value of the variable. Raises SecretUnreadable if it is refused, not set, or not UTF-8."""
        refusal = self.refusal(name)
        if refusal is not None:
            raise SecretUnreadable(refusal)
        if name not in self._environ:
            raise SecretUnreadable(f"the environment variable {name} of a secret is not set")
        value = self._environ[name]
        try:
            value.encode()
        except UnicodeEncodeError:
            raise SecretUnreadable(f"the environment variable {name} of a secret is not UTF-8") from None
        return value


NO_VARIABLES: Final = SecretVariables({})


@cache
def _settings() -> frozenset[str]:
    return frozenset(variable.name for process in PROCESSES for variable in variables(process))


def _is_own(name: str) -> bool:
    capitals = name.upper()
    return capitals in _settings() or any(fnmatchcase(capitals, pattern) for pattern in _RESERVED)
