"""A webhook that cannot be used rejects its own requests. The others stay in use, and are refreshed."""

import os

import pytest

from filas.repository.definitions.webhooks import WebhookRepository
from tests.ingest.serving import BOX, Serving, serving, webhook

BREAK = "update webhooks set {column} = $2::json, revision = revision + 1000 where id = $1"

BROKEN_ROWS = {
    "auth-list": ("auth", "[1]"),
    "auth-text": ("auth", '"enc:x"'),
    "auth-type": ("auth", '{"type": ["bearer"]}'),
    "secrets-number": ("auth", '{"type": "bearer", "secrets": 5}'),
    "damaged-secret": ("auth", '{"type": "bearer", "secrets": ["enc:%%%"]}'),
    "rate-limit": ("rate_limit", '{"max": "many"}'),
    "rate-limit-null": ("rate_limit", "null"),
    "dedupe": ("dedupe", '{"path": 7}'),
    "conversation": ("conversation", '{"contact": [1]}'),
    "config-list": ("config", "[]"),
    "config-deep": ("config", '{"a":' * 1500 + "1" + "}" * 1500),
}


async def _still_refreshes(app: Serving) -> None:
    """A change after the broken rows is in effect."""
    await app.store_webhooks(webhook("later"))
    assert (await app.post("later", {}))[0] == 200
    assert (await app.post("orders", {}))[0] == 200


async def test_a_variable_that_is_not_utf_8_affects_its_own_webhook_only(
    redis_url: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So do a variable that is not set, one that is not allowed, and a secret of another key."""
    monkeypatch.setitem(os.environ, "SECRET_BAD", b"pa\xff55".decode("utf-8", "surrogateescape"))
    sealed = BOX.seal("\udcff")
    secrets = {"a": "env:SECRET_BAD", "b": "env:SECRET_NOT_SET", "c": "env:FILAS_SECRET_KEY", "d": sealed}
    for kind, further in (("bearer", {}), ("hmac", {"header": "x-signature"}), ("standard-webhooks", {})):
        broken = [webhook(id_, auth={"type": kind, "secrets": [one], **further}) for id_, one in secrets.items()]
        token = webhook("t", auth={"type": "meta", "secrets": ["app"], "verifyToken": "env:SECRET_BAD"})
        async with serving(redis_url, postgres_dsn, *broken, token, webhook()) as app:
            for id_ in (*secrets, "t"):
                assert (await app.post(id_, {}, {"Authorization": "Bearer x"}))[0] == 503
            await _still_refreshes(app)


async def test_a_broken_row_affects_its_own_webhook_only(redis_url: str, postgres_dsn: str) -> None:
    """Whatever is in its columns. The lists of the API show it too."""
    async with serving(redis_url, postgres_dsn, *map(webhook, BROKEN_ROWS), webhook()) as app:
        for id_, (column, text) in BROKEN_ROWS.items():
            await app.database.fetch(BREAK.format(column=column), id_, text)
        await app.database.fetch("update configuration_revision set revision = revision + 5000")
        await _still_refreshes(app)
        found = {id_: (await app.post(id_, {}))[0] for id_ in BROKEN_ROWS}
        assert found == dict.fromkeys(BROKEN_ROWS, 503) | {"config-deep": found["config-deep"]}
        assert found["config-deep"] in (200, 503)
        page = await WebhookRepository(app.database).list()
        assert {one.id for one in page.items} == {*BROKEN_ROWS, "orders", "later"}
