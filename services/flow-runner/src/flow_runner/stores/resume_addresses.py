"""The addresses at which callbacks are made."""

from uuid import UUID

from filas.crypto.resume_tokens import PATH, ResumeTokens


class PublicAddresses:
    """Addresses of ingest's public listener, which other systems reach as `public_url`."""

    def __init__(self, public_url: str, tokens: ResumeTokens) -> None:
        self._base = public_url.rstrip("/") + PATH
        self._tokens = tokens

    def address(self, execution_id: UUID, callback_id: UUID) -> str:
        return self._base + self._tokens.make(execution_id, callback_id)
