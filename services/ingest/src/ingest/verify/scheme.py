"""The interface of an authentication scheme."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from filas.errors import SecretUnreadable

Reveal = Callable[[str], str]
"""Turns a stored secret (`enc:…`, `env:NAME`, a literal) into the secret. Raises SecretUnreadable."""


OwnKey = Literal["none", "unsigned", "signed"]
"""Whether a scheme has a duplicate key of its own: `signed` if the signed bytes alone determine it, `unsigned` if a
request with a valid signature can have another one, because it is in a header or because the body is read by one."""


@dataclass(slots=True)
class ReceivedRequest:
    """A request that is checked. `headers` ignores the case of names. `body` is the raw bytes, and `content`
    what they are without their content coding; None: the same. `now` is the time of
    receipt in seconds since 1970. `url` returns the address that the sender called, as far as proxies make it known."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    now: float
    url: Callable[[], str] = str
    content: bytes | None = None

    @property
    def decoded(self) -> bytes:
        """The body without its content coding."""
        return self.body if self.content is None else self.content


@dataclass(frozen=True, slots=True)
class Handshake:
    """The answer to a challenge of a provider: `text` with status 200, or an empty body with 403."""

    status: int
    text: str = ""


class Scheme(Protocol):
    """The check of one webhook, with its decrypted secrets. No method raises an exception, whatever the request is."""

    @property
    def sensitive_headers(self) -> frozenset[str]:
        """The lower-case names of the headers that carry secrets or signatures. They are never stored."""

    @property
    def sensitive_query(self) -> frozenset[str]:
        """The names of the query parameters that carry secrets or signatures. They are never stored."""

    @property
    def demands_json(self) -> bool:
        """Whether the provider sends only JSON objects."""

    @property
    def signs_requests(self) -> bool:
        """Whether the proof is a signature, which cannot be guessed, and not a secret that could be."""

    @property
    def reads_fields(self) -> bool:
        """Whether the check reads fields of the body, which are those of the body without its content coding."""

    @property
    def own_key(self) -> OwnKey:
        """Whether the scheme has a duplicate key of its own, and what determines it."""

    @property
    def authenticate(self) -> str | None:
        """The `WWW-Authenticate` header of the answer 401, if any."""

    def handshake(self, received_request: ReceivedRequest, /) -> Handshake | None:
        """The answer to a GET that is a challenge, otherwise None."""

    def greeting(self, received_request: ReceivedRequest, /) -> Handshake | None:
        """The answer to an authenticated request that is only a test or challenge of the provider, otherwise None."""

    def rejection_reason(self, received_request: ReceivedRequest, /) -> str | None:
        """None if the request is authentic, otherwise one word for the reason."""

    def duplicate_key(self, received_request: ReceivedRequest, document: Any, key: str | None, /) -> str | None:
        """The sender's own id of the request, None if it has none. `document` is the parsed body, `key` the key that
        the provider's reader has found in it."""

    def signed_content(self, received_request: ReceivedRequest, /) -> bytes | None:
        """What an authentic request states under its signature. It is the same if the request is captured and sent
        again, whatever is changed in it. None if the scheme signs no body."""

    def lasting_content(self, document: Any, body: bytes, /) -> bytes:
        """The part of the body that is the same whenever the sender repeats the request under the same key."""


class PlainScheme:
    """The defaults of a scheme: no challenge, no ids of its own, bodies of any type."""

    sensitive_headers: frozenset[str] = frozenset()
    sensitive_query: frozenset[str] = frozenset()
    demands_json = False
    signs_requests = False
    reads_fields = False
    own_key: OwnKey = "none"
    authenticate: str | None = None

    def handshake(self, _received_request: ReceivedRequest, /) -> Handshake | None:
        """None."""
        return None

    def greeting(self, _received_request: ReceivedRequest, /) -> Handshake | None:
        """None."""
        return None

    def duplicate_key(self, _received_request: ReceivedRequest, _document: Any, key: str | None, /) -> str | None:
        """The key in the body, if the provider has a reader."""
        return key

    def signed_content(self, _received_request: ReceivedRequest, /) -> bytes | None:
        """None."""
        return None

    def lasting_content(self, _document: Any, body: bytes, /) -> bytes:
        """The whole body."""
        return body


class Configuration(Protocol):
    """The decoded `auth` of a webhook."""

    def scheme(self, reveal: Reveal, /) -> Scheme:
        """The check, with its secrets decrypted. Raises SecretUnreadable if none of them can be read."""


def equals_any(presented: bytes, secrets: Sequence[bytes]) -> bool:
    """Whether `presented` is one of `secrets`. The time that it takes does not depend on which one, or how much,
    fits."""
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(presented, secret)
    return found


def revealed(secrets: Sequence[str], reveal: Reveal) -> tuple[bytes, ...]:
    """Every secret that can be read, so that an unreadable old secret does not disable the webhook.

    Raises the last SecretUnreadable if none can be read.
    """
    readable: list[bytes] = []
    failure = SecretUnreadable("no secret is configured")
    for secret in secrets:
        try:
            value = reveal(secret)
        except SecretUnreadable as error:
            failure = error
            continue
        if value:
            readable.append(value.encode())
    if not readable:
        raise failure
    return tuple(readable)
