"""How a signed token names its client: by the id of an API key, or by a digest of the admin token.

The name and the role of a key are not part of it: they are those that the key has when the token is used.
"""

import hmac
from uuid import UUID

import msgspec

from filas.crypto.signed_values import Signer
from ingest.access.authentication import ADMIN, Authenticator, Client


class ClientIdentity(msgspec.Struct, frozen=True, array_like=True):
    """Exactly one is set: the id of the key, or the first half of the digest of the admin token."""

    key_id: UUID | None = None
    admin_mark: str | None = None


def identity_of(client: Client, authenticator: Authenticator, signer: Signer) -> ClientIdentity:
    """Returns the identity of a client."""
    if client.key_id is not None:
        return ClientIdentity(key_id=client.key_id)
    return ClientIdentity(admin_mark=_admin_mark(authenticator, signer))


def client_of(identity: ClientIdentity, authenticator: Authenticator, signer: Signer) -> Client | None:
    """Returns the client, with its present name and role. None if its key was revoked or has expired, or if the admin
    token has changed. Raises StoreUnavailable while the keys have not been read yet."""
    if identity.key_id is not None:
        return authenticator.client_with_key(identity.key_id)
    mark = _admin_mark(authenticator, signer)
    given = identity.admin_mark or ""
    return ADMIN if mark and hmac.compare_digest(given.encode(), mark.encode()) else None


def _admin_mark(authenticator: Authenticator, signer: Signer) -> str:
    return authenticator.admin_mark(signer.digest).hex()[:32]
