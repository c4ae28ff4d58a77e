"""The routes of webhooks. Secrets are encrypted when a webhook is stored and masked in answers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from filas.models.configuration import (
    BodyMode,
    ConversationRule,
    Dedupe,
    FlowVersion,
    HandshakeRule,
    Origin,
    RateLimit,
    SignedBody,
    Webhook,
    WebhookFilter,
    WebhookOptions,
    WebhookResponse,
)
from ingest.api.definitions.secret_masking import masked, sealed
from ingest.api.definitions.webhook_checks import channel_errors, reference_errors, template_errors
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.body_errors import field_error
from ingest.api.routing.identifiers import Deleted, Identifier, definition_id, existing_id
from ingest.api.routing.problems import FieldError, invalid, not_found
from ingest.api.routing.route_types import Answer, Body, Call, PageQuery, Query, Route
from ingest.receive.duplicate_keys import configured
from ingest.verify import auth_types

Path = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9._~-]{1,200}(?!\n)$",
        description="The address is `/webhooks/{path}`. Letters, digits, `.`, `_`, `~` and `-`.",
    ),
]
NodeId = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]{1,200}$")]
Verb = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

MIB = 1024 * 1024
WEBHOOKS = "/webhooks/"
MAX_RATE_WINDOW_MS = 24 * 3600 * 1000


class WebhookBody(Body, frozen=True, kw_only=True):
    """The definition of a webhook. `path` defaults to the id, and `nodeId` to the trigger of the flow.

    The fields that an answer adds (`id`, `url`, `lastEventAt`, `revision` and so on) are accepted and ignored.
    """

    flow_id: Identifier
    node_id: NodeId | None = None
    path: Path | None = None
    methods: Annotated[list[Verb], msgspec.Meta(min_length=1, max_length=6)] = msgspec.field(
        default_factory=lambda: ["POST"]
    )
    auth: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "none"})
    rate_limit: RateLimit = RateLimit()
    dedupe: Dedupe | None = None
    conversation: ConversationRule | None = None
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1, le=64 * MIB)] = MIB
    enabled: bool = True
    response: WebhookResponse | None = None
    handshake: HandshakeRule | None = None
    cors: Annotated[tuple[Origin, ...], msgspec.Meta(max_length=100)] = ()
    body: BodyMode = "auto"
    signed_body: SignedBody = "sent"
    filter: WebhookFilter | Annotated[str, msgspec.Meta(max_length=10_000)] | None = None
    id: Identifier | None = None
    url: str | None = None
    last_event_at: datetime | None = None
    warnings: list[Any] | None = None
    revision: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class PutQuery(Query, frozen=True, kw_only=True):
    """`force=true` stores a webhook whose flow, node or channel does not exist, or whose templates or filter have
    errors. The answer then has `warnings`."""

    force: bool = False


class ShownWebhook(Webhook, frozen=True, kw_only=True):
    """A webhook with its secrets masked. `url` is its address, which is to be configured at the sender. `lastEventAt`
    is when it received its newest event."""

    url: str
    last_event_at: datetime | None = None


class StoredWebhook(ShownWebhook, frozen=True, kw_only=True):
    """A webhook that was stored. `warnings` are the errors that `force` has accepted."""

    warnings: list[FieldError] | msgspec.UnsetType = msgspec.UNSET


def audited_webhook(webhook: Webhook) -> Webhook:
    """Returns the webhook with its secrets masked, as the audit stores it."""
    auth = dict(webhook.auth)
    if isinstance(auth.get("secrets"), list):
        auth["secrets"] = [masked(str(secret)) for secret in auth["secrets"]]
    if "verifyToken" in auth:
        auth["verifyToken"] = masked(str(auth["verifyToken"]))
    return msgspec.structs.replace(webhook, auth=auth)


async def answered(context: ApiContext, webhooks: Sequence[Webhook]) -> list[ShownWebhook]:
    """Returns webhooks as an answer shows them: with their secrets masked, and their addresses."""
    newest = await context.history.events.last_received([webhook.id for webhook in webhooks])
    base = context.public_url.rstrip("/") + WEBHOOKS
    found = []
    for webhook in webhooks:
        shown = audited_webhook(webhook)
        fields = {name: getattr(shown, name) for name in Webhook.__struct_fields__}
        found.append(ShownWebhook(**fields, url=base + webhook.path, last_event_at=newest.get(webhook.id)))
    return found


async def put_webhook(call: Call[WebhookBody, PutQuery]) -> Answer:
    """Creates or replaces a webhook."""
    body = call.body
    webhook_id = definition_id(call.path["id"], body.id)
    errors = [*call.errors, *_errors(body)]
    options = {name: getattr(body, name) for name in WebhookOptions.__struct_fields__}
    if isinstance(body.filter, str):
        options["filter"] = WebhookFilter(expression=body.filter)
    stored = await call.context.webhooks.get(webhook_id)
    flow = await call.context.flows.get(body.flow_id)
    webhook = Webhook(
        id=webhook_id,
        flow_id=body.flow_id,
        node_id=body.node_id or _trigger(flow),
        path=body.path or webhook_id,
        methods=list(dict.fromkeys(body.methods)),
        auth=body.auth,
        rate_limit=body.rate_limit,
        dedupe=body.dedupe,
        conversation=body.conversation,
        config=body.config,
        max_body_bytes=body.max_body_bytes,
        enabled=body.enabled,
        **options,
    )
    doubtful = await reference_errors(webhook, flow, call.context.flows)
    doubtful += await channel_errors(webhook, call.context.channels)
    doubtful += await template_errors(webhook, call.context.history.events)
    # A field of the wrong type has the value of a placeholder, or its default.
    wrong = {_first_part(error.field) for error in call.errors}
    if not call.query.force:
        errors += [error for error in doubtful if _first_part(error.field) not in wrong]
    if errors:
        raise invalid(errors)
    webhook = msgspec.structs.replace(webhook, auth=_sealed_auth(call, stored))
    webhook = await _store(call, webhook)
    await call.context.configuration_changed()
    [answer] = await answered(call.context, [webhook])
    fields = {name: getattr(answer, name) for name in ShownWebhook.__struct_fields__}
    return Answer(StoredWebhook(**fields, warnings=doubtful or msgspec.UNSET))


async def _store(call: Call[WebhookBody, PutQuery], webhook: Webhook) -> Webhook:
    """Stores the webhook, and returns it. Raises the 422 if its flow or channel was deleted meanwhile."""
    context = call.context

    async def store() -> Webhook:
        stored = await context.webhooks.store(webhook)  # from here on, no flow and no channel is deleted
        errors = await reference_errors(webhook, await context.flows.get(webhook.flow_id), context.flows)
        errors += await channel_errors(webhook, context.channels)
        if errors and not call.query.force:
            raise invalid(errors)
        return stored

    return await call.audit.change(store, before=lambda: _before(call, webhook.id), after=audited_webhook)


async def _before(call: Call[Any, Any], webhook_id: str) -> Webhook | None:
    webhook = await call.context.webhooks.get(webhook_id)
    return None if webhook is None else audited_webhook(webhook)


def _first_part(field: str) -> str:
    return field.partition(".")[0].partition("[")[0]


def _errors(body: WebhookBody) -> list[FieldError]:
    """Returns every error of the definition itself that the types alone do not find."""
    errors: list[FieldError] = []
    try:
        auth_types.configuration(body.auth)
    except msgspec.ValidationError as error:
        found = field_error(str(error))
        field = f"auth.{found.field}" if found.field else "auth"
        errors.append(FieldError(field=field, message=found.message))
    if not 1 <= body.rate_limit.max <= 1_000_000:
        errors.append(FieldError(field="rateLimit.max", message="not from 1 to 1000000"))
    if not 1 <= body.rate_limit.window_ms <= MAX_RATE_WINDOW_MS:
        errors.append(FieldError(field="rateLimit.windowMs", message=f"not from 1 to {MAX_RATE_WINDOW_MS}"))
    if body.dedupe is not None:
        errors += _check_dedupe(body.dedupe)
    return errors


def _check_dedupe(dedupe: Dedupe) -> list[FieldError]:
    if [bool(dedupe.header), bool(dedupe.path), dedupe.body].count(True) != 1:
        return [FieldError(field="dedupe", message="give one of `header`, `path` and `body`, or null")]
    try:
        configured(dedupe)
    except (ValueError, RecursionError) as error:
        summary = (str(error).splitlines() or ["it does not parse"])[0]
        return [FieldError(field="dedupe.path", message=summary)]
    return []


def _trigger(version: FlowVersion | None) -> str:
    """Returns the id of the flow's only trigger, or `start` if the flow is not stored or has several."""
    nodes = version.definition.get("nodes", []) if version is not None else []
    triggers = [
        node["id"]
        for node in nodes
        if node.get("type") == "webhook" and (node.get("data") or {}).get("mode", "trigger") == "trigger"
    ]
    return triggers[0] if len(triggers) == 1 else "start"


def _sealed_auth(call: Call[WebhookBody, PutQuery], stored: Webhook | None) -> dict[str, Any]:
    box, auth = call.context.secret_box, dict(call.body.auth)
    before = stored.auth if stored is not None else {}
    if "secrets" in auth:
        kept: list[str] = list(before.get("secrets") or [])
        auth["secrets"] = [
            sealed(box, f"auth.secrets[{index}]", secret, kept[index] if index < len(kept) else None)
            for index, secret in enumerate(auth["secrets"])
        ]
    if auth.get("verifyToken") is not None:
        auth["verifyToken"] = sealed(box, "auth.verifyToken", auth["verifyToken"], before.get("verifyToken"))
    return auth


async def get_webhook(call: Call[None, Query]) -> Answer:
    """Returns a webhook with its secrets masked."""
    webhook_id = existing_id("webhook", call.path["id"])
    webhook = await call.context.webhooks.get(webhook_id)
    if webhook is None:
        raise not_found("webhook", webhook_id)
    return Answer((await answered(call.context, [webhook]))[0])


async def delete_webhook(call: Call[None, Query]) -> Answer:
    """Deletes a webhook. Within a second its address answers 404. Its events stay."""
    webhook_id = existing_id("webhook", call.path["id"])
    webhooks = call.context.webhooks
    if not await call.audit.change(lambda: webhooks.delete(webhook_id), before=lambda: _before(call, webhook_id)):
        raise not_found("webhook", webhook_id)
    await call.context.configuration_changed()
    return Answer(Deleted(id=webhook_id))


async def list_webhooks(call: Call[None, PageQuery]) -> Answer:
    """Lists webhooks by id."""
    page = await call.context.webhooks.list(call.query.cursor, call.query.limit)
    return Answer(await answered(call.context, page.items), page.next_cursor)


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/webhooks",
        handler=list_webhooks,
        role="viewer",
        summary="The webhooks, with their secrets masked.",
        answer=list[ShownWebhook],
        query=PageQuery,
        paged=True,
    ),
    Route(
        method="PUT",
        path="/webhooks/{id}",
        handler=put_webhook,
        role="admin",
        summary="Create or replace a webhook. `***` keeps a stored secret.",
        answer=StoredWebhook,
        body=WebhookBody,
        placeholders={"flow_id": ""},
        query=PutQuery,
        problems=(409,),
    ),
    Route(
        method="GET",
        path="/webhooks/{id}",
        handler=get_webhook,
        role="viewer",
        summary="One webhook, with its secrets masked.",
        answer=ShownWebhook,
        query=Query,
    ),
    Route(
        method="DELETE",
        path="/webhooks/{id}",
        handler=delete_webhook,
        role="admin",
        summary="Delete a webhook. Its events stay.",
        answer=Deleted,
        query=Query,
    ),
)
