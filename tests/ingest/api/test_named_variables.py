"""`env:NAME` in the API: only variables that SECRET_ENV_ALLOW allows, and never a setting of Filas."""

from typing import Any

import pytest

from tests.ingest.api.serving import Api, fields_of

WEBHOOK = {"flowId": "f"}
OWN = ("FILAS_SECRET_KEY", "FILAS_ADMIN_TOKEN", "DATABASE_URL", "REDIS_PASSWORD", "SECRET_ENV_ALLOW", "HOME")

PLACES: list[tuple[str, str, Any]] = [
    ("/secrets/key", "value", lambda name: {"value": name}),
    (
        "/webhooks/w?force=true",
        "auth.secrets[1]",
        lambda name: WEBHOOK | {"auth": {"type": "bearer", "secrets": ["a", name]}},
    ),
    (
        "/webhooks/w?force=true",
        "auth.verifyToken",
        lambda name: WEBHOOK | {"auth": {"type": "meta", "secrets": ["a"], "verifyToken": name}},
    ),
    ("/channels/c", "secret", lambda name: {"type": "http", "url": "https://example.com/", "secret": name}),
    ("/channels/c", "botToken", lambda name: {"type": "telegram", "botToken": name}),
    ("/channels/c", "webhookUrl", lambda name: {"type": "slack", "webhookUrl": name}),
    ("/channels/c", "accessToken", lambda name: {"type": "whatsapp", "phoneNumberId": "1", "accessToken": name}),
    ("/channels/c", "authToken", lambda name: {"type": "twilio", "accountSid": "A", "from": "+1", "authToken": name}),
    (
        "/channels/c",
        "password",
        lambda name: {"type": "email", "host": "h", "from": "a@b.c", "username": "u", "password": name},
    ),
]


@pytest.mark.parametrize(("path", "field", "document"), PLACES, ids=[field for _, field, _ in PLACES])
async def test_every_secret_field_refuses_a_variable_that_is_not_allowed(
    api: Api, path: str, field: str, document: Any
) -> None:
    """The 422 names the variable and SECRET_ENV_ALLOW."""
    for name in OWN:
        reply = await api.put(path, document(f"env:{name}"))
        assert fields_of(reply) == [field]
        assert name in reply.text
        assert "SECRET_ENV_ALLOW" in reply.text
    assert (await api.put(path, document("env:SECRET_OF_MINE"))).status == 200


async def test_the_doctor_names_definitions_whose_variable_is_not_allowed(api: Api) -> None:
    """They were stored under another SECRET_ENV_ALLOW, or before it existed. A stored one cannot be kept with `***`."""

    async def finding() -> dict[str, Any]:
        [found] = [one for one in (await api.get("/doctor")).data["parts"] if one["part"] == "secrets"]
        return dict(found)

    await api.put("/webhooks/w?force=true", WEBHOOK | {"auth": {"type": "bearer", "secrets": ["env:SECRET_A", "b"]}})
    await api.put("/channels/c", {"type": "telegram", "botToken": "env:SECRET_B"})
    await api.put("/secrets/key", {"value": "env:SECRET_C"})
    assert (await finding())["ok"] is True
    await api.database.fetch("""update webhooks set auth = replace(auth::text, 'SECRET_A', 'OLD_A')::json""")
    await api.database.fetch("""update channels set config = replace(config::text, 'SECRET_B', 'DATABASE_URL')::json""")
    await api.database.fetch("update secrets set value = 'env:FILAS_SECRET_KEY'")
    found = await finding()
    assert found["ok"] is False
    for words in (
        "webhook w: the environment variable OLD_A does not match SECRET_ENV_ALLOW (SECRET_*)",
        "channel c: the environment variable DATABASE_URL is a setting of Filas",
        "secret key: the environment variable FILAS_SECRET_KEY is a setting of Filas",
    ):
        assert words in found["detail"]
    kept = await api.put("/webhooks/w?force=true", WEBHOOK | {"auth": {"type": "bearer", "secrets": ["***"]}})
    assert fields_of(kept) == ["auth.secrets[0]"]
