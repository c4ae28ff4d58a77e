"""Connects to a Redis by its address. The services use the variables `REDIS_*` instead."""

from urllib.parse import unquote, urlsplit

from filas.queue.redis_client.connection import Redis, connect
from filas.settings.setting_groups import RedisSettings
from filas.settings.value_types import Secret


def settings_from_url(url: str) -> RedisSettings:
    """Returns the settings for the address `redis[s]://[user[:password]@]host[:port][/database]`."""
    parts = urlsplit(url)
    return RedisSettings(
        redis_host=parts.hostname or "127.0.0.1",
        redis_port=parts.port or 6379,
        redis_username=unquote(parts.username) if parts.username else None,
        redis_password=Secret(unquote(parts.password)) if parts.password else None,
        redis_db=int(parts.path.strip("/") or 0),
        redis_tls=parts.scheme == "rediss",
    )


def connect_url(url: str) -> Redis:
    """Returns the Redis at an address, see `settings_from_url`."""
    return connect(settings_from_url(url))
