"""Requests that were refused."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from filas.models.record import Record


class NewRefusal(Record, frozen=True, kw_only=True):
    """A refused request that is about to be stored. `headers` and `query_params` are JSON text. `size` is that of the
    whole body in bytes, as far as it is known; `body` is its beginning. Secrets are hidden already."""

    id: UUID
    received_at: datetime
    webhook_id: str | None
    path: str
    method: str
    address: str
    status: int
    reason: str
    detail: str
    size: int
    headers: str
    query_params: str
    body: bytes


class Refusal(Record, frozen=True, kw_only=True):
    """A refused request. `webhook_id` is null if no webhook has the path. `reason` is the outcome of the request in
    the metric `filas_webhooks_total`. `size` is that of the whole body in bytes, as far as it is known. `headers` and
    `body` are their first 4 KiB, with secrets hidden. `body_encoding` is `base64` if the body is not UTF-8.

    Refusals are kept for 7 days, and at most 10,000 of them.
    """

    id: UUID
    received_at: datetime
    webhook_id: str | None
    path: str
    method: str
    address: str
    status: int
    reason: str
    detail: str
    size: int
    headers: dict[str, str]
    query_params: dict[str, str | list[str]]
    body: str
    body_encoding: Literal["utf-8", "base64"]


class RefusalGroup(Record, frozen=True, kw_only=True):
    """The refused requests to one webhook for one reason. `webhook_id` is null for all paths that no webhook has.
    `addresses`: from how many addresses they came. `last_path` and `last_detail` are those of the newest one."""

    webhook_id: str | None
    reason: str
    status: int
    count: int
    addresses: int
    first_at: datetime
    last_at: datetime
    last_path: str
    last_detail: str
