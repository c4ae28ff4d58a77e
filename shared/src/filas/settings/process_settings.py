"""The settings class of each process. It is validated before anything connects.

A class consists of groups: `settings.redis.redis_port`. `filas.settings.settings_reader.load` reads it.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta

from filas.errors import SettingsError
from filas.settings.setting_groups import (
    AdminSettings,
    Count,
    Group,
    LogSettings,
    OutboundSettings,
    Port,
    Positive,
    PostgresSettings,
    RedisSettings,
    RetentionSettings,
    ScalingSettings,
    SecretSettings,
    TracingSettings,
    check_database_url,
    check_key,
    is_weak,
)
from filas.settings.value_types import Networks, Recipients, Secret

TrustedProxies = Annotated[
    Networks, Meta(description="Networks of proxies whose `X-Forwarded-For` is believed: `10.0.0.0/8`")
]
PublicUrl = Annotated[
    str,
    Meta(description="The public URL of ingest: for webhooks, and the addresses at which flows wait for a call"),
]
DEFAULT_PUBLIC_URL: Final = "http://localhost:8080"
FAILURES_PER_IP: Final = 60
FailureLimit = Annotated[
    Count,
    Meta(description="Failed checks a minute of one address at one webhook, or at the API, then 429; 0: no limit"),
]


def check_public_url(url: str) -> None:
    """Raises SettingsError for an address that PUBLIC_URL cannot be."""
    if not url.startswith(("http://", "https://")) or any(mark in url for mark in " ?#"):
        raise SettingsError("PUBLIC_URL is not a URL such as https://hooks.example.com")


class ProcessSettings(Group, frozen=True, kw_only=True):
    """The settings that every process has."""

    redis: RedisSettings
    postgres: PostgresSettings
    logs: LogSettings
    tracing: TracingSettings
    admin: AdminSettings

    @property
    def weak_keys(self) -> list[str]:
        """The variables whose key is an example or too short. The process logs a warning for each."""
        secrets: SecretSettings | None = getattr(self, "secrets", None)
        keys = {
            "FILAS_SECRET_KEY": None if secrets is None else secrets.filas_secret_key,
            "FILAS_ADMIN_TOKEN": getattr(self, "filas_admin_token", None),
        }
        return [name for name, key in keys.items() if key is not None and is_weak(key)]


class IngestServeSettings(ProcessSettings, frozen=True, kw_only=True):
    """`python -m ingest serve`: the public endpoint."""

    secrets: SecretSettings
    ingest_host: Annotated[str, Meta(description="The address of the public listener; 0.0.0.0 inside a container")] = (
        "127.0.0.1"
    )
    ingest_port: Annotated[Port, Meta(description="The public port: webhooks")] = 8080
    ingest_serve_admin_port: Annotated[Port, Meta(description="The private port: metrics, health")] = 8085
    ingest_max_connections: Annotated[
        Positive, Meta(description="Open connections on the public port; beyond, those that wait longest are closed")
    ] = 2000
    ingest_body_budget: Annotated[
        Positive, Meta(description="Bytes of request bodies that one process holds at a time; beyond, 503")
    ] = 67_108_864
    trusted_proxies: TrustedProxies = Networks(())
    rate_limit_per_ip: Annotated[Count, Meta(description="Webhooks a minute from one address; 0: no limit")] = 0
    auth_failures_per_ip: FailureLimit = FAILURES_PER_IP
    shutdown_delay_s: Annotated[
        Count,
        Meta(description="Seconds for which webhooks are still accepted after SIGTERM, while `/readyz` answers 503"),
    ] = 0


class IngestAdminSettings(ProcessSettings, frozen=True, kw_only=True):
    """`python -m ingest admin`: the API for operators, and the figures of the queues."""

    secrets: SecretSettings
    scaling: ScalingSettings
    retention: RetentionSettings
    trusted_proxies: TrustedProxies = Networks(())
    auth_failures_per_ip: FailureLimit = FAILURES_PER_IP
    filas_admin_token: Annotated[Secret, Meta(description="The bearer token of the API; at least 32 random characters")]
    ingest_admin_port: Annotated[Port, Meta(description="The private port: API, metrics, health")] = 8081
    ingest_admin_pool_size: Annotated[
        Positive, Meta(description="The most Postgres connections of this process, in place of `DATABASE_POOL_SIZE`")
    ] = 4
    database_read_url: Annotated[
        Secret | None,
        Meta(
            description="The same database as a user that only reads, or a replica, for searches; empty: `DATABASE_URL`"
        ),
    ] = None
    database_volume_bytes: Annotated[
        Count,
        Meta(description="Bytes of the volume of Postgres, for a warning when it is nearly full; 0: unknown"),
    ] = 0
    public_url: PublicUrl = DEFAULT_PUBLIC_URL

    def __post_init__(self) -> None:
        if self.database_read_url is not None:
            check_database_url("DATABASE_READ_URL", self.database_read_url)
        check_public_url(self.public_url)
        check_key("FILAS_ADMIN_TOKEN", self.filas_admin_token, may_be_short=self.secrets.filas_local_run)


class IngestWorkSettings(ProcessSettings, frozen=True, kw_only=True):
    """`python -m ingest work`: the worker of the queue webhook-processing; it also deletes what is old."""

    retention: RetentionSettings
    ingest_worker_admin_port: Annotated[Port, Meta(description="The private port: metrics, health")] = 8084
    ingest_worker_concurrency: Annotated[Positive, Meta(description="Webhooks processed at a time")] = 100


class FlowRunnerSettings(ProcessSettings, frozen=True, kw_only=True):
    """`python -m flow_runner`: the worker of the queue flow-processing."""

    secrets: SecretSettings
    outbound: OutboundSettings
    public_url: PublicUrl = DEFAULT_PUBLIC_URL
    flow_runner_admin_port: Annotated[Port, Meta(description="The private port: metrics, health")] = 8082
    flow_runner_concurrency: Annotated[Positive, Meta(description="Executions run at a time")] = 100

    def __post_init__(self) -> None:
        check_public_url(self.public_url)


class NotifierSettings(ProcessSettings, frozen=True, kw_only=True):
    """`python -m notifier`: the worker of the queue notifications."""

    secrets: SecretSettings
    outbound: OutboundSettings
    notifier_admin_port: Annotated[Port, Meta(description="The private port: metrics, health")] = 8083
    notifier_concurrency: Annotated[Positive, Meta(description="Notifications delivered at a time")] = 100
    alert_to: Annotated[
        Recipients,
        Meta(description="The recipients of alerts whose rule has none: `email:ops@example.com,slack:#ops`"),
    ] = Recipients(())
    alert_language: Annotated[Literal["en", "pt-br"], Meta(description="The language of messages about alerts")] = "en"
    alert_every_s: Annotated[Positive, Meta(description="Seconds between two evaluations of the alert rules")] = 10
    dashboard_url: Annotated[
        str, Meta(description="The address of the dashboard, for the links in messages about alerts; empty: no links")
    ] = ""
    database_volume_bytes: Annotated[
        Count, Meta(description="Bytes of the volume of Postgres, for a warning when it is nearly full; 0: unknown")
    ] = 0


PROCESSES: tuple[type[ProcessSettings], ...] = (
    IngestServeSettings,
    IngestAdminSettings,
    IngestWorkSettings,
    FlowRunnerSettings,
    NotifierSettings,
)
"""The settings class of every process. The documentation, `.env.example` and the manifests are checked against them."""
