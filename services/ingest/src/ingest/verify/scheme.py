"""What every authentication scheme is to the receiver."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from filas.errors import SecretUnreadable

Reveal = Callable[[str], str]
"""Turns a stored secret (`enc:…`, `env:NAME`, a literal) into the secret. Raises SecretUnreadable."""


@dataclass(slots=True)
class Presented:
    """A request as its sender presents it. `headers` finds names in any case; `body` is the raw bytes;
    `now` is the time of arrival in seconds since 1970; `url` gives the address that the sender has called,
    as far as that can be known behind proxies."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    now: float
    url: Callable[[], str] = str


@dataclass(frozen=True, slots=True)
class Handshake:
    """The answer to a provider's question whether this address is ours or alive: text on 200, nothing on 403."""

    status: int
    text: str = ""


class Scheme(Protocol):
    """One webhook's check, with its secrets revealed."""

    @property
    def sensitive_headers(self) -> frozenset[str]:
        """Lower-case names of the headers that carry its secrets or signatures: they are never stored."""

    @property
    def demands_json(self) -> bool:
        """Whether the provider sends nothing but JSON objects."""

    @property
    def authenticate(self) -> str | None:
        """The `WWW-Authenticate` header of its 401, if it has one."""

    def handshake(self, presented: Presented, /) -> Handshake | None:
        """The answer to a GET that asks for one, else None. Never raises, whatever was presented."""

    def greeting(self, presented: Presented, /) -> Handshake | None:
        """The answer to a request that brings nothing but a question of the provider's, else None. Asked when the
        sender has proved itself; never raises."""

    def refusal(self, presented: Presented, /) -> str | None:
        """None if the sender has proved itself, else one word why not. Never raises, whatever was presented."""

    def duplicate_key(self, presented: Presented, document: Any, key: str | None, /) -> str | None:
        """The sender's own id of what it sent, None if it gives none. `document` is the decoded body, `key` what
        the provider's reader has found in it."""


class PlainScheme:
    """What most schemes have in common: no ceremony, no ids of their own, bodies of any kind."""

    sensitive_headers: frozenset[str] = frozenset()
    demands_json = False
    authenticate: str | None = None

    def handshake(self, _presented: Presented, /) -> Handshake | None:
        """There is none."""
        return None

    def greeting(self, _presented: Presented, /) -> Handshake | None:
        """There is none."""
        return None

    def duplicate_key(self, _presented: Presented, _document: Any, key: str | None, /) -> str | None:
        """What stands in the body, where the provider's bodies are known."""
        return key


class Configuration(Protocol):
    """A webhook's `auth`, decoded: `scheme` makes the check of it."""

    def scheme(self, reveal: Reveal, /) -> Scheme:
        """The check with its secrets revealed. Raises SecretUnreadable if none of them can be."""


def equals_any(presented: bytes, secrets: Sequence[bytes]) -> bool:
    """Whether `presented` is one of `secrets`. Takes equally long whichever it is, and however much of it fits."""
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(presented, secret)
    return found


def revealed(secrets: Sequence[str], reveal: Reveal) -> tuple[bytes, ...]:
    """Every secret that can be read: one that is being rotated out must not shut out the others.

    Raises the last SecretUnreadable when none can.
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
