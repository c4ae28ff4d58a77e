"""No secret of a channel shows in what the notifier logs, records or counts, whatever the other side does."""

from pathlib import Path

import aiohttp
import msgspec
import pytest

from filas.crypto.secret_box import SecretBox
from filas.models.configuration import Channel
from filas.repository.definitions.channels import ChannelRepository
from tests.notifier.mail import mail_server
from tests.notifier.process import KEY, stage
from tests.notifier.providers import CONFIGS
from tests.notifier.receiver import raw_receiver

PLANTED = "planted-token"
NO_HTTP = b"SSH-2.0-OpenSSH\r\n\r\n"
HTTP_SECRET = "whsec_cGxhbnRlZC10b2tlbi1vZi1odHRw"


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_no_secret_shows_when_the_other_side_speaks_nonsense(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Sealed ones and one of the environment; in addresses, headers and logins; at the most talkative level."""
    async with (
        raw_receiver(NO_HTTP) as url,
        mail_server(password="another") as mail,
        stage(redis_url, postgres_dsn, tmp_path, LOG_LEVEL="debug", SECRET_BOT_TOKEN=f"1102:{PLANTED}") as world,
    ):
        box = SecretBox(KEY)
        sealed = box.seal(PLANTED)
        configs = {
            "http": {"url": f"{url}/in", "secret": box.seal(HTTP_SECRET)},
            "whatsapp": CONFIGS["whatsapp"] | {"accessToken": sealed, "baseUrl": url},
            "telegram": {"botToken": "env:SECRET_BOT_TOKEN", "baseUrl": url},
            "slack": {"webhookUrl": box.seal(f"{url}/services/{PLANTED}")},
            "twilio": CONFIGS["twilio"] | {"authToken": sealed, "baseUrl": url},
            "email": {
                "host": "127.0.0.1",
                "port": mail.port,
                "security": "none",
                "from": "bot@filas.example",
                "username": "bot",
                "password": sealed,
            },
        }
        for type_, config in configs.items():
            await ChannelRepository(world.database).store(Channel(id=type_, type=type_, config=config))
        sent = {type_: await world.notify(type_, "maria@example.com") for type_ in configs}
        shown = []
        for type_, notification_id in sent.items():
            row = await world.until(notification_id, "failed")
            assert row.error is not None
            assert row.error.kind == ("credentials" if type_ == "email" else "communication"), type_
            shown.append(msgspec.json.encode(row).decode())
        letters = (await world.dead_letters.list()).items
        assert len(letters) == len(configs)
        shown.append(msgspec.json.encode(letters).decode())
        async with aiohttp.request("GET", f"http://127.0.0.1:{world.notifier.port}/metrics") as metrics:
            shown.append(await metrics.text())
        shown += [world.notifier.log, world.notifier.output]
    for text in shown:
        assert PLANTED not in text
        assert HTTP_SECRET not in text
        assert HTTP_SECRET.removeprefix("whsec_") not in text
