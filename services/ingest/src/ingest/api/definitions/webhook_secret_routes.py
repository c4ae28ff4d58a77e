"""The routes that add and remove one secret of a webhook, for the rotation of its secrets.

A webhook accepts requests that any of its secrets proves. So a new secret is added beside the old one, then the sender
is changed, and then the old one is removed. A PUT of the webhook could not remove the first of two masked secrets.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from filas.models.configuration import Webhook
from ingest.api.definitions.secret_masking import MASK, sealed
from ingest.api.definitions.webhook_routes import ShownWebhook, answered, audited_webhook
from ingest.api.routing.identifiers import existing_id
from ingest.api.routing.problems import conflict, invalid_field, not_found
from ingest.api.routing.route_types import Answer, Body, Call, Query, Route

MAX_SECRETS = 20


class SecretBody(Body, frozen=True, kw_only=True):
    """The secret, or `env:NAME`. It is stored after those that the webhook has."""

    secret: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


async def add_webhook_secret(call: Call[SecretBody, Query]) -> Answer:
    """Adds a secret. Requests that one of the others proves are accepted as before."""
    if call.body.secret == MASK:
        raise invalid_field("secret", "`***` is no secret")
    added = sealed(call.context.secret_box, "secret", call.body.secret, None)

    def with_added(secrets: list[str]) -> list[str]:
        if len(secrets) >= MAX_SECRETS:
            raise conflict(f"the webhook has {MAX_SECRETS} secrets, which is the most: remove one first")
        return [*secrets, added]

    return await _change(call, with_added)


async def remove_webhook_secret(call: Call[None, Query]) -> Answer:
    """Removes the secret at a place of `auth.secrets`, from 0. Requests that only it proves are refused from then
    on."""
    place = call.path["place"]

    def without(secrets: list[str]) -> list[str]:
        if not place.isascii() or not place.isdecimal() or len(place) > 3 or int(place) >= len(secrets):
            raise not_found("secret", place)
        if len(secrets) == 1:
            raise conflict("it is the last secret of the webhook: add another one first")
        return [one for index, one in enumerate(secrets) if index != int(place)]

    return await _change(call, without)


async def _webhook(call: Call[Any, Query]) -> Webhook:
    webhook_id = existing_id("webhook", call.path["id"])
    webhook = await call.context.webhooks.get(webhook_id)
    if webhook is None:
        raise not_found("webhook", webhook_id)
    return webhook


def _secrets(webhook: Webhook) -> list[str]:
    secrets = webhook.auth.get("secrets")
    if not isinstance(secrets, list):
        raise conflict(f"webhooks with the authentication {webhook.auth.get('type', 'none')!r} have no secrets")
    return secrets


async def _change(call: Call[Any, Query], changed: Callable[[list[str]], list[str]]) -> Answer:
    """Stores the webhook with other secrets. It is read in the transaction of the change: another change of the webhook
    is not taken back."""

    async def write() -> Webhook:
        webhook = await _webhook(call)
        secrets = changed(_secrets(webhook))
        return await call.context.webhooks.store(
            msgspec.structs.replace(webhook, auth={**webhook.auth, "secrets": secrets})
        )

    async def present() -> Webhook:
        return audited_webhook(await _webhook(call))

    stored = await call.audit.change(write, before=present, after=audited_webhook)
    await call.context.configuration_changed()
    [answer] = await answered(call.context, [stored])
    return Answer(answer)


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="POST",
        path="/webhooks/{id}/secrets",
        handler=add_webhook_secret,
        role="admin",
        summary="Add a secret to a webhook, beside those that it has.",
        answer=ShownWebhook,
        body=SecretBody,
        query=Query,
        problems=(409,),
    ),
    Route(
        method="DELETE",
        path="/webhooks/{id}/secrets/{place}",
        handler=remove_webhook_secret,
        role="admin",
        summary="Remove one of the secrets of a webhook.",
        answer=ShownWebhook,
        query=Query,
        problems=(409,),
    ),
)
