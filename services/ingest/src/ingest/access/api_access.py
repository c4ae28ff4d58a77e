"""The parts that check the clients of the API and record what they change. The composition root builds them."""

from dataclasses import dataclass
from typing import Final

from filas.crypto.api_keys import KeyHasher
from filas.repository.access.api_keys import ApiKeyRepository
from filas.service.stores import Stores
from filas.settings.value_types import Networks
from ingest.access.audit_log import AuditLog
from ingest.access.authentication import Authenticator
from ingest.access.key_cache import KeyCache
from ingest.access.sign_in_failures import FailedSignIns
from ingest.http.client_address import ClientAddress

NONE: Final = Networks(())


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call the API, and what is recorded of it. `keys.run` and `audit.run` must be running."""

    authenticator: Authenticator
    keys: KeyCache
    hasher: KeyHasher
    failed_sign_ins: FailedSignIns
    audit: AuditLog
    addresses: ClientAddress


def build_access(
    stores: Stores, *, admin_token: str, secret_key: str, failures_a_minute: int = 0, trusted_proxies: Networks = NONE
) -> Access:
    """Builds the check of tokens and the audit over open stores. `admin_token` is FILAS_ADMIN_TOKEN, `secret_key` is
    FILAS_SECRET_KEY. `failures_a_minute` limits the failed sign-ins of one address; 0: no limit.
    `X-Forwarded-For` counts from `trusted_proxies` only."""
    hasher = KeyHasher(secret_key)
    keys = KeyCache(ApiKeyRepository(stores.database), hasher)
    failed_sign_ins = FailedSignIns(failures_a_minute)
    return Access(
        authenticator=Authenticator(admin_token, keys),
        keys=keys,
        hasher=hasher,
        failed_sign_ins=failed_sign_ins,
        audit=AuditLog(stores.database, failed_sign_ins),
        addresses=ClientAddress(trusted_proxies),
    )
