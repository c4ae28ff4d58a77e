"""The variables of a conversation, as they are stored: those that a flow declares as secret are encrypted.

The stored text is a JSON object with the other variables by name, and under `$secret` (no variable has that name) the
encrypted JSON object of the secret ones. Rows of earlier versions have all of them in plain text; the next write
encrypts them.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from filas.crypto.redaction import Redactor
from filas.crypto.secret_box import SecretBox
from filas.errors import SecretUnreadable
from filas.flows.definition.flow_definition import Variable
from filas.observability.logs import get_logger

SEALED: Final = "$secret"

log = get_logger(__name__)


class ConversationVariables:
    """The variables during one run. `values` has all of them; `writes` counts the assignments.

    With another FILAS_SECRET_KEY, the secret variables have no value, as other stored secrets. They stay stored until
    another secret variable is assigned.
    """

    def __init__(self, stored: str | None, box: SecretBox) -> None:
        self.values: dict[str, Any] = msgspec.json.decode(stored or "{}")
        self.writes = 0
        self._box = box
        self._secret: set[str] = set()
        self._unreadable: str | None = None
        sealed = self.values.pop(SEALED, None)
        if isinstance(sealed, str):
            self._open(sealed)

    @property
    def secret_values(self) -> list[Any]:
        """The values that no trace may show."""
        return [self.values[name] for name in self._secret if name in self.values]

    def declare_secret(self, variables: Iterable[Variable]) -> None:
        """From now on those that belong to the conversation are encrypted. What one flow declares as secret stays
        secret for all."""
        self._secret.update(variable.name for variable in variables if variable.scope == "conversation")

    def assign(self, name: str, value: Any) -> None:
        """Sets a variable."""
        self.values[name] = value
        self.writes += 1

    def text(self, redactor: Redactor) -> str:
        """What to store. A variable whose value contains a secret that the run knows is encrypted too."""
        if not redactor.is_empty:
            self._secret.update(name for name, value in self.values.items() if redactor.clean(value) != value)
        stored = {name: value for name, value in self.values.items() if name not in self._secret}
        secret = {name: self.values[name] for name in self._secret if name in self.values}
        if secret:
            stored[SEALED] = self._box.seal(msgspec.json.encode(secret).decode())
        elif self._unreadable is not None:
            stored[SEALED] = self._unreadable
        return msgspec.json.encode(stored).decode()

    def _open(self, sealed: str) -> None:
        try:
            secret: dict[str, Any] = msgspec.json.decode(self._box.open(sealed), type=dict[str, Any])
        except (SecretUnreadable, msgspec.DecodeError) as error:
            log.warning("conversation.secrets_unreadable", reason=str(error))
            self._unreadable = sealed
            return
        self._secret.update(secret)
        # A value in plain text is newer: a worker of an earlier version has written it.
        self.values = secret | self.values
