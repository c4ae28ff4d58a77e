"""The secrets of a test run: placeholders, so that who runs a test sees no secret."""

from collections.abc import Collection, Mapping

from flow_runner.engine.ports import Secrets
from flow_runner.engine.secret_placeholder import placeholder


class PlaceholderSecrets:
    """The engine's Secrets of a test run. Each readable secret has the value `secret:NAME`."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    async def revealed(self, needed: Collection[str] = ()) -> Mapping[str, str]:
        return {name: placeholder(name) for name in await self._secrets.revealed(needed)}
