"""The groups of settings that the processes have in common: the stores, the log, secrets, and others."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from filas.errors import SettingsError
from filas.settings.value_types import Addresses, HostNames, NamePatterns, Networks, Ports, Secret

Port = Annotated[int, Meta(ge=0, le=65535)]
"""A TCP port. With 0 the system chooses one."""

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
DEFAULT_SECRET_ENV_ALLOW = NamePatterns(("SECRET_*",))

Share = Annotated[float, Meta(ge=0, le=1)]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that belong together. `__post_init__` of a group raises SettingsError if its fields contradict."""


class RedisSettings(Group, frozen=True, kw_only=True):
    """The address of Redis: one server, a Sentinel group, or a Cluster with `redis_host` as one of its nodes."""

    redis_host: Annotated[str, Meta(description="The host of the Redis server, or of any node of a Cluster")] = (
        "127.0.0.1"
    )
    redis_port: Annotated[Port, Meta(description="Its port")] = 6379
    redis_username: Annotated[str | None, Meta(description="The user of Redis, if it has users (ACL)")] = None
    redis_password: Annotated[Secret | None, Meta(description="The password of Redis")] = None
    redis_db: Annotated[Count, Meta(description="The number of the database; a Cluster has only 0")] = 0
    redis_tls: Annotated[bool, Meta(description="Whether the connection to Redis uses TLS")] = False
    redis_sentinels: Annotated[
        Addresses, Meta(description="The Sentinels as `host:port,host:port`; `REDIS_HOST` is then not used")
    ] = Addresses(())
    redis_sentinel_master: Annotated[
        str | None, Meta(description="The name of the master that the Sentinels watch")
    ] = None
    redis_sentinel_password: Annotated[
        Secret | None, Meta(description="The password of the Sentinels themselves, if they have one")
    ] = None
    redis_cluster: Annotated[bool, Meta(description="Whether Redis is a Cluster")] = False

    def __post_init__(self) -> None:
        if self.redis_sentinels and not self.redis_sentinel_master:
            raise SettingsError("REDIS_SENTINEL_MASTER is not set, but REDIS_SENTINELS is")
        if self.redis_sentinels and self.redis_cluster:
            raise SettingsError("REDIS_CLUSTER is true, but REDIS_SENTINELS is set: Redis is one or the other")
        if self.redis_cluster and self.redis_db:
            raise SettingsError("REDIS_DB must be 0 on a Cluster, which has one database only")


class PostgresSettings(Group, frozen=True, kw_only=True):
    """The address of Postgres."""

    database_url: Annotated[
        Secret, Meta(description="The Postgres database: `postgresql://user:password@host:5432/name`")
    ]
    database_pool_size: Annotated[Positive, Meta(description="The most connections that one process opens")] = 10

    def __post_init__(self) -> None:
        check_database_url("DATABASE_URL", self.database_url)


class RoleSettings(Group, frozen=True, kw_only=True):
    """The passwords that `filas roles create` gives to the roles of Postgres."""

    postgres_migrate_password: Annotated[Secret, Meta(description="The password of the role filas_migrate")]
    postgres_write_password: Annotated[Secret, Meta(description="The password of the role filas_write")]
    postgres_read_password: Annotated[Secret, Meta(description="The password of the role filas_read")]


class LogSettings(Group, frozen=True, kw_only=True):
    """The level and the format of the log."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least important level that is logged")
    ] = "info"
    log_format: Annotated[
        Literal["json", "console"],
        Meta(description="`json`: one object per line; `console`: lines for a person to read"),
    ] = "json"


class TracingSettings(Group, frozen=True, kw_only=True):
    """The collector of OpenTelemetry traces. The names are those of OpenTelemetry."""

    otel_exporter_otlp_endpoint: Annotated[
        str | None,
        Meta(description="The collector for traces, OTLP over HTTP: `http://host:4318`; empty: no tracing"),
    ] = None
    otel_exporter_otlp_headers: Annotated[
        Secret | None, Meta(description="Headers for the collector: `authorization=Bearer …,name=value`")
    ] = None
    otel_service_name: Annotated[
        str | None, Meta(description="The name of the process in traces; empty: `ingest`, `ingest-worker` and so on")
    ] = None
    otel_traces_sampler_arg: Annotated[
        Share, Meta(description="The fraction of webhooks that are traced, from 0 to 1; the same in every process")
    ] = 1.0

    def __post_init__(self) -> None:
        endpoint = self.otel_exporter_otlp_endpoint
        if endpoint is not None and not _is_http_address(endpoint):
            raise SettingsError("OTEL_EXPORTER_OTLP_ENDPOINT is not a URL such as http://collector:4318")


class AdminSettings(Group, frozen=True, kw_only=True):
    """The address of the private listeners, and their names. Each process has a port of its own."""

    admin_host: Annotated[str, Meta(description="The address of the private listeners; 0.0.0.0 inside a container")] = (
        "127.0.0.1"
    )
    admin_hosts: Annotated[
        HostNames,
        Meta(
            description="Names in `Host` that the private listeners accept, beside IPs and `ADMIN_HOST`; `*`: any name"
        ),
    ] = HostNames(("localhost",))

    @property
    def accepted_names(self) -> frozenset[str]:
        """The names in `Host` that the private listeners accept. `admin_host` may be a name too."""
        return frozenset({*self.admin_hosts, self.admin_host.lower()})


MIN_KEY_CHARS = 32
"""The fewest characters of FILAS_ADMIN_TOKEN and FILAS_SECRET_KEY, so that neither can be guessed."""

EXAMPLE_KEYS = frozenset({"change-me-admin-token", "change-me-to-a-long-random-secret-key"})
"""The values of `.env.example`, which anyone can read. A process that has one starts with a warning."""


def check_key(name: str, key: Secret, *, may_be_short: bool) -> None:
    """Raises SettingsError, which does not repeat the key, if it is too short."""
    chars = len(key.reveal())
    if chars < MIN_KEY_CHARS and not may_be_short and key.reveal() not in EXAMPLE_KEYS:
        raise SettingsError(
            f"{name} has {chars} characters; it needs at least {MIN_KEY_CHARS} random ones: openssl rand -hex 32"
        )


def is_weak(key: Secret) -> bool:
    """Whether the key is published in `.env.example`, or too short."""
    return key.reveal() in EXAMPLE_KEYS or len(key.reveal()) < MIN_KEY_CHARS


class SecretSettings(Group, frozen=True, kw_only=True):
    """The key that encrypts stored secrets, and the variables that hold secrets."""

    filas_secret_key: Annotated[
        Secret, Meta(description="Encrypts stored secrets; the same in every process, at least 32 random characters")
    ]
    secret_env_allow: Annotated[
        NamePatterns,
        Meta(description="Patterns of the variables that secrets may name as `env:NAME`; never a setting of Filas"),
    ] = DEFAULT_SECRET_ENV_ALLOW
    filas_local_run: Annotated[
        bool, Meta(description="Set by `filas up`: the admin token and the secret key may be short, with a warning")
    ] = False

    def __post_init__(self) -> None:
        check_key("FILAS_SECRET_KEY", self.filas_secret_key, may_be_short=self.filas_local_run)


class OutboundSettings(Group, frozen=True, kw_only=True):
    """The addresses that flows and channels may call."""

    outbound_allow: Annotated[
        Networks, Meta(description="Private networks that flows and channels may reach: `10.1.0.0/16,::1/128`")
    ] = Networks(())
    outbound_ports: Annotated[
        Ports, Meta(description="The only ports that flows and channels may call: `443,80`; empty: every port")
    ] = Ports(())


class RetentionSettings(Group, frozen=True, kw_only=True):
    """The number of days for which finished rows are kept."""

    events_retention_days: Annotated[
        Positive, Meta(description="Days for which events and their duplicate keys are kept")
    ] = 30
    executions_retention_days: Annotated[Positive, Meta(description="Days for which executions and steps are kept")] = (
        30
    )
    notifications_retention_days: Annotated[Positive, Meta(description="Days for which notifications are kept")] = 30
    dead_letters_retention_days: Annotated[Positive, Meta(description="Days for which dead letters are kept")] = 90
    conversations_retention_days: Annotated[
        Positive, Meta(description="Days for which conversations and their variables are kept after the last execution")
    ] = 365
    audit_retention_days: Annotated[
        Positive, Meta(description="Days for which the audit, and keys that are no longer valid, are kept")
    ] = 400
    rollup_minutes_retention_days: Annotated[
        int, Meta(ge=2, description="Days for which figures by minute are kept, 2 at least")
    ] = 2
    rollup_hours_retention_days: Annotated[
        int, Meta(ge=4, description="Days for which figures by hour are kept, 4 at least")
    ] = 14
    rollup_days_retention_days: Annotated[Positive, Meta(description="Days for which figures by day are kept")] = 730


class ScalingSettings(Group, frozen=True, kw_only=True):
    """The bounds of the advice of `GET /api/scaling`."""

    scaling_min_replicas: Annotated[
        Count, Meta(description="The smallest number of replicas that `/api/scaling` recommends")
    ] = 1
    scaling_max_replicas: Annotated[
        Positive, Meta(description="The largest number of replicas that `/api/scaling` recommends")
    ] = 10
    scaling_target_age_s: Annotated[Positive, Meta(description="The age in seconds that a waiting job may reach")] = 10

    def __post_init__(self) -> None:
        if self.scaling_min_replicas > self.scaling_max_replicas:
            raise SettingsError("SCALING_MIN_REPLICAS is more than SCALING_MAX_REPLICAS")


def check_database_url(name: str, url: Secret) -> None:
    """Raises SettingsError if `url`, the value of the variable `name`, is not the URL of a Postgres database."""
    try:
        address = urlsplit(url.reveal())
        valid = address.scheme in {"postgresql", "postgres"} and address.port != 0
    except ValueError:
        valid = False
    if not valid:
        # The value may contain a password, so the message does not repeat it.
        raise SettingsError(f"{name} is not a URL such as postgresql://user:password@host:5432/name")


def _is_http_address(text: str) -> bool:
    try:
        address = urlsplit(text)
        return address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
    except ValueError:
        return False
