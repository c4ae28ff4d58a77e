"""The resources that Kubernetes knows only with KEDA or Prometheus' operator, as far as we use them.

Written after their documentation: KEDA's (https://keda.sh/docs/latest/reference/scaledobject-spec/ and the pages of the
scalers) and that of Prometheus' operator (its API reference). A field that isn't here is refused, so that none is
misspelt unseen.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Whole = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Number = Annotated[str, Meta(pattern=r"^\d+(\.\d+)?$")]
"""Everything in a trigger's metadata is a text, numbers too."""
Duration = Annotated[str, Meta(pattern=r"^\d+(ms|s|m|h)$")]


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A part of a resource: no other fields than those named."""


class ObjectMeta(Part, frozen=True, kw_only=True):
    """Name and labels."""

    name: str
    namespace: Literal["filas"]
    labels: dict[str, str] = {}


# ---- KEDA ------------------------------------------------------------------------------------------


class ScaleTarget(Part, frozen=True, kw_only=True):
    """The kind is Deployment by default."""

    name: str


class Policy(Part, frozen=True, kw_only=True):
    """By how much the number may change within a time."""

    type: Literal["Pods", "Percent"]
    value: Positive
    period_seconds: Annotated[int, Meta(ge=1, le=1800)]


class Rules(Part, frozen=True, kw_only=True):
    """How the number of pods changes in one direction."""

    stabilization_window_seconds: Annotated[int, Meta(ge=0, le=3600)]
    policies: list[Policy] = []


class Behavior(Part, frozen=True, kw_only=True):
    """Up and down."""

    scale_up: Rules
    scale_down: Rules


class AutoscalerConfig(Part, frozen=True, kw_only=True):
    """What is passed on to the HorizontalPodAutoscaler that KEDA makes."""

    behavior: Behavior


class Advanced(Part, frozen=True, kw_only=True):
    """The rest of a ScaledObject."""

    horizontal_pod_autoscaler_config: AutoscalerConfig


class NameOf(Part, frozen=True, kw_only=True):
    """A TriggerAuthentication in the same namespace."""

    name: str


class PrometheusQuery(Part, frozen=True, kw_only=True):
    """The metadata of the scaler `prometheus`."""

    server_address: Annotated[str, Meta(pattern="^https?://")]
    query: str
    threshold: Number
    ignore_null_values: Literal["true", "false"] = "true"


class PrometheusTrigger(Part, frozen=True, kw_only=True, tag_field="type", tag="prometheus"):
    """By the answer of a query."""

    name: str
    metric_type: Literal["Value", "AverageValue"]
    metadata: PrometheusQuery


class ApiValue(Part, frozen=True, kw_only=True):
    """The metadata of the scaler `metrics-api`."""

    target_value: Number
    url: Annotated[str, Meta(pattern="^https?://")]
    value_location: str
    auth_mode: Literal["bearer"]


class ApiTrigger(Part, frozen=True, kw_only=True, tag_field="type", tag="metrics-api"):
    """By a number in the answer of an API."""

    metric_type: Literal["Value", "AverageValue"]
    metadata: ApiValue
    authentication_ref: NameOf


class ScaledObjectSpec(Part, frozen=True, kw_only=True):
    """What is scaled, between which numbers, by what."""

    scale_target_ref: ScaleTarget
    min_replica_count: Whole
    max_replica_count: Positive
    polling_interval: Positive
    advanced: Advanced
    triggers: list[PrometheusTrigger | ApiTrigger]


class ScaledObject(Part, frozen=True, kw_only=True):
    """keda.sh/v1alpha1."""

    api_version: Literal["keda.sh/v1alpha1"]
    kind: Literal["ScaledObject"]
    metadata: ObjectMeta
    spec: ScaledObjectSpec


class SecretTarget(Part, frozen=True, kw_only=True):
    """The parameter of a scaler, from the key of a Secret."""

    parameter: Literal["token"]
    name: str
    key: str


class TriggerAuthenticationSpec(Part, frozen=True, kw_only=True):
    """Where a trigger's secrets come from."""

    secret_target_ref: list[SecretTarget]


class TriggerAuthentication(Part, frozen=True, kw_only=True):
    """keda.sh/v1alpha1."""

    api_version: Literal["keda.sh/v1alpha1"]
    kind: Literal["TriggerAuthentication"]
    metadata: ObjectMeta
    spec: TriggerAuthenticationSpec


# ---- Prometheus' operator --------------------------------------------------------------------------


class Expression(Part, frozen=True, kw_only=True):
    """One condition on a label."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[str] = []


class Selector(Part, frozen=True, kw_only=True):
    """Which pods."""

    match_labels: dict[str, str] = {}
    match_expressions: list[Expression] = []


class Endpoint(Part, frozen=True, kw_only=True):
    """One port of each pod."""

    port: str
    path: str
    interval: Duration
    scrape_timeout: Duration


class PodMonitorSpec(Part, frozen=True, kw_only=True):
    """Which pods are read, where, and what their label `job` is made of."""

    selector: Selector
    job_label: str
    pod_metrics_endpoints: list[Endpoint]


class PodMonitor(Part, frozen=True, kw_only=True):
    """monitoring.coreos.com/v1."""

    api_version: Literal["monitoring.coreos.com/v1"]
    kind: Literal["PodMonitor"]
    metadata: ObjectMeta
    spec: PodMonitorSpec


KINDS: dict[str, type[Part]] = {
    "ScaledObject": ScaledObject,
    "TriggerAuthentication": TriggerAuthentication,
    "PodMonitor": PodMonitor,
}


def check(document: dict[str, Any]) -> Part:
    """The document as its type; raises msgspec.ValidationError, which names the field that is wrong."""
    return msgspec.convert(document, KINDS[document["kind"]])
