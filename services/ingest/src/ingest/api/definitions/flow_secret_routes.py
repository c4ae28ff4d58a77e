"""The routes of the secrets that flows use as `secrets.<name>`. A stored secret is never shown."""

import re
from typing import Annotated, Any

import msgspec

from ingest.api.definitions.references import DeleteQuery, delete_unused
from ingest.api.definitions.secret_masking import MASK, masked, sealed
from ingest.api.routing.identifiers import Deleted
from ingest.api.routing.problems import invalid_field, not_found
from ingest.api.routing.route_types import Answer, Body, Call, Query, Route

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class SecretBody(Body, frozen=True, kw_only=True):
    """`value` is the secret itself, or `env:NAME`."""

    value: Annotated[str, msgspec.Meta(min_length=1, max_length=65_536)]


class SecretName(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a stored secret."""

    name: str


async def put_secret(call: Call[SecretBody, Query]) -> Answer:
    """Stores a secret for flows."""
    name = call.path["name"]
    if not _NAME.fullmatch(name):
        raise invalid_field("name", "a name has up to 64 letters, digits, `_` and `-`, and begins with a letter or `_`")
    if call.body.value == MASK:
        raise invalid_field("value", "`***` is a mask, not a secret")
    value = sealed(call.context.secret_box, "value", call.body.value, None)
    secrets = call.context.secrets

    call.audit.after = _shown(name, value)
    await call.audit.change(lambda: secrets.store(name, value), before=lambda: _before(call, name))
    return Answer(SecretName(name=name))


async def delete_secret(call: Call[None, DeleteQuery]) -> Answer:
    """Deletes a secret, unless a flow uses it."""
    name = call.path["name"]

    secrets = call.context.secrets

    async def delete() -> bool:
        return await delete_unused(call.context, "secret", name, lambda: secrets.delete(name), force=call.query.force)

    if not _NAME.fullmatch(name) or not await call.audit.change(delete, before=lambda: _before(call, name)):
        raise not_found("secret", name)
    return Answer(Deleted(id=name))


async def _before(call: Call[Any, Any], name: str) -> dict[str, str] | None:
    value = await call.context.secrets.get(name)
    return None if value is None else _shown(name, value)


def _shown(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": masked(value)}


async def list_secrets(call: Call[None, Query]) -> Answer:
    """Lists the names of the secrets."""
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
        summary="Delete a secret, unless a flow uses it.",
        answer=Deleted,
        query=DeleteQuery,
        problems=(409,),
    ),
)
