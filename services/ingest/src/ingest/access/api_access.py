"""The parts that check the clients of the API and record what they change. The composition root builds them."""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from filas.crypto.api_keys import KeyHasher
from filas.repository.access.api_keys import ApiKeyRepository
from filas.repository.access.revoked_tokens import RevokedTokenRepository
from filas.service.stores import Stores
from filas.settings.value_types import Networks
from ingest.access.audit_log import AuditLog
from ingest.access.authentication import Authenticator
from ingest.access.ended_sessions import EndedSessions
from ingest.access.key_cache import KeyCache
from ingest.access.sign_in_failures import FailedSignIns
from ingest.access.sign_in_links import SignInLinks
from ingest.http.client_address import ClientAddress

NONE: Final = Networks(())


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call the API and the dashboard, and what is recorded of it. `background` must be running, and `close`
    writes what is not stored yet. `ended_sessions` and `sign_in_links` are of the dashboard."""

    authenticator: Authenticator
    keys: KeyCache
    hasher: KeyHasher
    failed_sign_ins: FailedSignIns
    audit: AuditLog
    addresses: ClientAddress
    ended_sessions: EndedSessions
    sign_in_links: SignInLinks

    def background(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What runs while the process runs."""
        return (self.keys.run(), self.audit.run(), self.ended_sessions.run())

    async def close(self) -> None:
        """Stores what waits, within two seconds."""
        await self.ended_sessions.close()
        await self.audit.close()


def build_access(
    stores: Stores, *, admin_token: str, secret_key: str, failures_a_minute: int = 0, trusted_proxies: Networks = NONE
) -> Access:
    """Builds the check of tokens and the audit over open stores. `admin_token` is FILAS_ADMIN_TOKEN, `secret_key` is
    FILAS_SECRET_KEY. `failures_a_minute` limits the failed sign-ins of one address; 0: no limit.
    `X-Forwarded-For` counts from `trusted_proxies` only."""
    hasher = KeyHasher(secret_key)
    keys = KeyCache(ApiKeyRepository(stores.database), hasher)
    failed_sign_ins = FailedSignIns(failures_a_minute)
    authenticator = Authenticator(admin_token, keys)
    revoked = RevokedTokenRepository(stores.database)
    return Access(
        authenticator=authenticator,
        keys=keys,
        hasher=hasher,
        failed_sign_ins=failed_sign_ins,
        audit=AuditLog(stores.database, failed_sign_ins),
        addresses=ClientAddress(trusted_proxies),
        ended_sessions=EndedSessions(revoked),
        sign_in_links=SignInLinks(authenticator, secret_key, revoked),
    )
