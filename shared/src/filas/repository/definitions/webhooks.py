"""Webhooks: the addresses that receive events. There are few rows; every ingest process caches all of them."""

from __future__ import annotations

import builtins
from typing import Any, Final

import asyncpg
import msgspec

from filas.errors import Conflict
from filas.models.configuration import UNREADABLE, ConversationRule, Dedupe, RateLimit, Webhook, WebhookOptions
from filas.models.record import Page
from filas.observability.logs import get_logger
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import from_json, to_json, to_json_or_null

log = get_logger("filas.repository")

# The statement that changes a row takes the next revision. The lock on it keeps revisions in the order of commits.
STORE: Final = """
with next as (update configuration_revision set revision = revision + 1 returning revision)
insert into webhooks as w (id, path, flow_id, node_id, methods, auth, rate_limit, dedupe, conversation, config,
    max_body_bytes, enabled, options, revision)
select $1, $2, $3, $4, $5::text[], $6::json, $7::json, $8::json, $9::json, $10::json, $11, $12, $13::json, revision
from next
on conflict (id) do update set
    path = excluded.path, flow_id = excluded.flow_id, node_id = excluded.node_id, methods = excluded.methods,
    auth = excluded.auth, rate_limit = excluded.rate_limit, dedupe = excluded.dedupe,
    conversation = excluded.conversation, config = excluded.config, max_body_bytes = excluded.max_body_bytes,
    enabled = excluded.enabled, options = excluded.options, deleted = false, revision = excluded.revision,
    updated_at = now(),
    created_at = case when w.deleted then now() else w.created_at end
returning w.*"""

GET: Final = "select * from webhooks where id = $1 and not deleted"

LIST: Final = paging.within_bytes(
    "select * from webhooks where id > $1 and not deleted order by id limit $2", "octet_length(config::text)", "id"
)

# A deleted webhook stays as a row without its secrets, so that the caches see the deletion.
DELETE: Final = """
with next as (update configuration_revision set revision = revision + 1
              where exists (select from webhooks where id = $1 and not deleted) returning revision)
update webhooks set deleted = true, auth = '{}', config = '{}', revision = next.revision, updated_at = now()
from next where id = $1 and not deleted
returning id"""

CHANGED_SINCE: Final = "select * from webhooks where revision > $1 order by revision"


class WebhookRepository:
    """The table `webhooks`. Every change takes the next revision; caches read the rows with newer revisions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, webhook: Webhook) -> Webhook:
        """Creates or replaces the webhook with this id. Returns it as stored.

        Raises Conflict if another webhook has its path.
        """
        try:
            [row] = await self._database.fetch(
                STORE,
                webhook.id,
                webhook.path,
                webhook.flow_id,
                webhook.node_id,
                webhook.methods,
                to_json(webhook.auth),
                to_json(webhook.rate_limit),
                to_json_or_null(webhook.dedupe),
                to_json_or_null(webhook.conversation),
                to_json(webhook.config),
                webhook.max_body_bytes,
                webhook.enabled,
                to_json(_options(webhook)),
            )
        except asyncpg.UniqueViolationError:
            raise Conflict("path") from None
        return _webhook(row)

    async def get(self, webhook_id: str) -> Webhook | None:
        """The webhook with this id, or None."""
        row = await self._database.fetchrow(GET, webhook_id)
        return _webhook(row) if row else None

    async def delete(self, webhook_id: str) -> bool:
        """Deletes the webhook, which makes its path free. False if there was none."""
        return await self._database.fetchrow(DELETE, webhook_id) is not None

    async def list(self, cursor: str | None = None, limit: int = paging.DEFAULT_LIMIT) -> Page:
        """One page of the webhooks in the order of their ids. Raises InvalidCursor."""
        limit = paging.bounded(limit)
        rows = await self._database.fetch(LIST, paging.after_name(cursor), limit + 1)
        return paging.page_by_name(rows, limit, "id", _webhook)

    async def changed_since(self, revision: int) -> tuple[builtins.list[Webhook], builtins.list[str], int]:
        """The webhooks stored and the ids deleted after `revision` (0: all), and the new revision."""
        rows = await self._database.fetch(CHANGED_SINCE, revision)
        changed = [_webhook(row) for row in rows if not row["deleted"]]
        deleted = [row["id"] for row in rows if row["deleted"]]
        return changed, deleted, rows[-1]["revision"] if rows else revision


def _webhook(row: asyncpg.Record) -> Webhook:
    """The webhook of a row. A row that cannot be decoded affects no other one: it is a webhook of the type UNREADABLE,
    without its settings."""
    try:
        return _decoded(row)
    except Exception as error:
        log.error("webhook.row_unreadable", webhook_id=row["id"], error=f"{type(error).__name__}: {error}")
    return Webhook(
        id=row["id"],
        flow_id=row["flow_id"],
        node_id=row["node_id"],
        path=row["path"],
        methods=row["methods"],
        auth={"type": UNREADABLE},
        rate_limit=RateLimit(),
        dedupe=None,
        conversation=None,
        config={},
        max_body_bytes=row["max_body_bytes"],
        enabled=row["enabled"],
        revision=row["revision"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _options(webhook: Webhook) -> WebhookOptions:
    names = WebhookOptions.__struct_fields__
    return WebhookOptions(**{name: getattr(webhook, name) for name in names})


def _decoded(row: asyncpg.Record) -> Webhook:
    dedupe, conversation = from_json(row["dedupe"]), from_json(row["conversation"])
    options = msgspec.convert(from_json(row["options"]), WebhookOptions)
    return Webhook(
        id=row["id"],
        flow_id=row["flow_id"],
        node_id=row["node_id"],
        path=row["path"],
        methods=row["methods"],
        auth=msgspec.convert(from_json(row["auth"]), dict[str, Any]),
        rate_limit=msgspec.convert(from_json(row["rate_limit"]), RateLimit),
        dedupe=None if dedupe is None else msgspec.convert(dedupe, Dedupe),
        conversation=None if conversation is None else msgspec.convert(conversation, ConversationRule),
        **{name: getattr(options, name) for name in WebhookOptions.__struct_fields__},
        config=msgspec.convert(from_json(row["config"]), dict[str, Any]),
        max_body_bytes=row["max_body_bytes"],
        enabled=row["enabled"],
        revision=row["revision"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
