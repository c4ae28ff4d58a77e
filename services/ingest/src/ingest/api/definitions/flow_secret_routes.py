"""The secrets that flows name as `secrets.<name>`: written and removed here, and never read back."""

import re
from typing import Annotated, Any

import msgspec

from ingest.api.definitions.secret_masking import MASK, sealed
from ingest.api.routing.identifiers import Deleted
from ingest.api.routing.problems import absent, invalid_field
from ingest.api.routing.route_types import Answer, Body, Call, Query, Route

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class SecretBody(Body, frozen=True, kw_only=True):
    """`value` is the secret itself, or `env:NAME`."""

    value: Annotated[str, msgspec.Meta(min_length=1, max_length=65_536)]


class SecretName(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of a secret."""

    name: str


async def put_secret(call: Call[SecretBody, Query]) -> Answer:
    """Store a secret for flows."""
    name = call.path["name"]
    if not _NAME.fullmatch(name):
        raise invalid_field("name", "a name has up to 64 letters, digits, `_` and `-`, and begins with a letter or `_`")
    if call.body.value == MASK:
        raise invalid_field("value", "`***` is what is shown in place of a secret, not one")
    value = sealed(call.context.secret_box, "value", call.body.value, None)
    await call.context.secrets.store(name, value)
    return Answer(SecretName(name=name))


async def delete_secret(call: Call[None, Query]) -> Answer:
    """Remove a secret."""
    name = call.path["name"]
    if not _NAME.fullmatch(name) or not await call.context.secrets.delete(name):
        raise absent("secret", name)
    return Answer(Deleted(id=name))


async def list_secrets(call: Call[None, Query]) -> Answer:
    """Say which secrets there are, by name alone."""
    return Answer(list(await call.context.secrets.names()))


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/secrets",
        handler=list_secrets,
        role="viewer",
        summary="The names of the secrets that flows may use.",
        answer=list[str],
        query=Query,
        paged=True,
    ),
    Route(
        method="PUT",
        path="/secrets/{name}",
        handler=put_secret,
        role="admin",
        summary="Store a secret for flows (`secrets.<name>`). It is never shown again.",
        answer=SecretName,
        body=SecretBody,
        query=Query,
    ),
    Route(
        method="DELETE",
        path="/secrets/{name}",
        handler=delete_secret,
        role="admin",
        summary="Remove a secret.",
        answer=Deleted,
        query=Query,
    ),
)
