"""The settings of each process, read from the environment once and validated before anything connects.

Each process has one settings class, which consists of groups: `settings.redis.redis_port`. The variable of a field is
its name in capitals: `redis_port` is `REDIS_PORT`. An empty variable counts as not set, because Docker Compose passes
unset variables as empty ones.

This module does not read `os.environ`: the caller passes the variables to `load`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from filas.errors import SettingsError
from filas.settings.value_types import Addresses, HostNames, Networks, Ports, Secret, decode

Port = Annotated[int, Meta(ge=0, le=65535)]
"""A TCP port. With 0 the system chooses one."""

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
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
        try:
            address = urlsplit(self.database_url.reveal())
            valid = address.scheme in {"postgresql", "postgres"} and address.port != 0
        except ValueError:
            valid = False
        if not valid:
            # The value may contain a password, so the message does not repeat it.
            raise SettingsError("DATABASE_URL is not a URL such as postgresql://user:password@host:5432/name")


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
        Meta(description="Names in `Host` that the private listeners accept, beside every IP address; `*`: any name"),
    ] = HostNames(("localhost",))


class SecretSettings(Group, frozen=True, kw_only=True):
    """The key that encrypts stored secrets."""

    filas_secret_key: Annotated[
        Secret, Meta(description="Encrypts stored secrets; the same in every process, long and random")
    ]


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


class ProcessSettings(Group, frozen=True, kw_only=True):
    """The settings that every process has."""

    redis: RedisSettings
    postgres: PostgresSettings
    logs: LogSettings
    tracing: TracingSettings
    admin: AdminSettings


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
    trusted_proxies: Annotated[
        Networks, Meta(description="Networks of proxies whose `X-Forwarded-For` is believed: `10.0.0.0/8`")
    ] = Networks(())
    rate_limit_per_ip: Annotated[Count, Meta(description="Webhooks a minute from one address; 0: no limit")] = 0
    auth_failures_per_ip: Annotated[
        Count, Meta(description="Failed authentications a minute from one address, then 429; 0: no limit")
    ] = 60
    shutdown_delay_s: Annotated[
        Count,
        Meta(description="Seconds for which webhooks are still accepted after SIGTERM, while `/readyz` answers 503"),
    ] = 0


class IngestAdminSettings(ProcessSettings, frozen=True, kw_only=True):
    """`python -m ingest admin`: the API for operators, and the figures of the queues."""

    secrets: SecretSettings
    scaling: ScalingSettings
    filas_admin_token: Annotated[Secret, Meta(description="The bearer token of the API")]
    ingest_admin_port: Annotated[Port, Meta(description="The private port: API, dashboard, metrics, health")] = 8081
    ingest_admin_pool_size: Annotated[
        Positive, Meta(description="The most Postgres connections of this process, in place of `DATABASE_POOL_SIZE`")
    ] = 4


class IngestWorkSettings(ProcessSettings, frozen=True, kw_only=True):
    """`python -m ingest work`: the worker of the queue webhook-processing; it also deletes what is old."""

    retention: RetentionSettings
    ingest_worker_admin_port: Annotated[Port, Meta(description="The private port: metrics, health")] = 8084
    ingest_worker_concurrency: Annotated[Positive, Meta(description="Webhooks processed at a time")] = 100


class FlowRunnerSettings(ProcessSettings, frozen=True, kw_only=True):
    """`python -m flow_runner`: the worker of the queue flow-processing."""

    secrets: SecretSettings
    outbound: OutboundSettings
    public_url: Annotated[
        str, Meta(description="The public URL of ingest, for the addresses at which flows wait for a call")
    ] = "http://localhost:8080"
    flow_runner_admin_port: Annotated[Port, Meta(description="The private port: metrics, health")] = 8082
    flow_runner_concurrency: Annotated[Positive, Meta(description="Executions run at a time")] = 100

    def __post_init__(self) -> None:
        if not self.public_url.startswith(("http://", "https://")) or any(mark in self.public_url for mark in " ?#"):
            raise SettingsError("PUBLIC_URL is not a URL such as https://hooks.example.com")


class NotifierSettings(ProcessSettings, frozen=True, kw_only=True):
    """`python -m notifier`: the worker of the queue notifications."""

    secrets: SecretSettings
    outbound: OutboundSettings
    notifier_admin_port: Annotated[Port, Meta(description="The private port: metrics, health")] = 8083
    notifier_concurrency: Annotated[Positive, Meta(description="Notifications delivered at a time")] = 100


PROCESSES: tuple[type[ProcessSettings], ...] = (
    IngestServeSettings,
    IngestAdminSettings,
    IngestWorkSettings,
    FlowRunnerSettings,
    NotifierSettings,
)
"""The settings class of every process. The documentation, `.env.example` and the manifests are checked against them."""

SettingsType = TypeVar("SettingsType", bound=Group)


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """One environment variable. `default` is its default as it is written; None means that it must be set."""

    name: str
    description: str
    default: str | None
    secret: bool


def load(settings_type: type[SettingsType], environ: Mapping[str, str]) -> SettingsType:
    """Returns the settings in `environ`.

    Raises SettingsError with one line that names the variable and states what is expected. It never repeats the value
    of a secret.
    """
    values: dict[str, Any] = {}
    hints = get_type_hints(settings_type, include_extras=True)
    for field in msgspec.structs.fields(settings_type):
        group = _group(hints[field.name])
        if group is not None:
            values[field.name] = load(group, environ)
            continue
        name = field.name.upper()
        text = environ.get(name, "").strip()
        if text:
            values[field.name] = _convert(name, text, hints[field.name])
        elif field.required:
            raise SettingsError(f"{name} is not set: {_description(hints[field.name])}")
    return settings_type(**values)


def variables(settings_type: type[Group]) -> list[Variable]:
    """Returns every variable that `load` reads for this class, in the order of its fields."""
    found: list[Variable] = []
    hints = get_type_hints(settings_type, include_extras=True)
    for field in msgspec.structs.fields(settings_type):
        hint = hints[field.name]
        group = _group(hint)
        if group is not None:
            found += variables(group)
            continue
        found.append(
            Variable(
                name=field.name.upper(),
                description=_description(hint),
                default=None if field.required else _written(field.default),
                secret=Secret in _alternatives(hint),
            )
        )
    return found


def _group(hint: Any) -> type[Group] | None:
    return hint if isinstance(hint, type) and issubclass(hint, Group) else None


def _written(default: object) -> str:
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _metas(hint: Any) -> list[Meta]:
    return [part for part in getattr(hint, "__metadata__", ()) if isinstance(part, Meta)]


def _description(hint: Any) -> str:
    return next((meta.description for meta in reversed(_metas(hint)) if meta.description), "")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """Returns the types of the value: `(int, NoneType)` for `Annotated[int | None, …]`."""
    plain = hint.__origin__ if hasattr(hint, "__metadata__") else hint
    arguments = get_args(plain)
    return arguments if arguments and not isinstance(arguments[0], str) else (plain,)


def _convert(name: str, text: str, hint: Any) -> Any:
    kinds = _alternatives(hint)
    if getattr(kinds[0], "__origin__", None) is Literal or bool in kinds:
        text = text.lower()
    try:
        return msgspec.convert(text, hint, strict=False, dec_hook=decode)
    except (msgspec.ValidationError, ValueError):
        raise SettingsError(f"{name}={text!r} is not {_expected(hint, kinds)}") from None


def _is_http_address(text: str) -> bool:
    try:
        address = urlsplit(text)
        return address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
    except ValueError:
        return False


def _expected(hint: Any, kinds: tuple[Any, ...]) -> str:
    words = {
        Networks: "a list of networks such as 10.0.0.0/8,::1/128",
        Ports: "a list of ports such as 443,8443",
        Addresses: "a list of addresses such as host-a:26379,host-b:26379",
        HostNames: "a list of names such as localhost,filas.internal",
        bool: "true or false",
        int: "a whole number",
        float: "a number",
    }
    for kind in kinds:
        if getattr(kind, "__origin__", None) is Literal:
            return f"one of {', '.join(get_args(kind))}"
    sentence = next((words[kind] for kind in kinds if kind in words), "a text")
    least = [meta.ge for meta in _metas(hint) if meta.ge is not None]
    most = [meta.le for meta in _metas(hint) if meta.le is not None]
    if least and most:
        return f"{sentence} from {least[0]} to {most[0]}"
    return f"{sentence} of at least {least[0]}" if least else sentence
