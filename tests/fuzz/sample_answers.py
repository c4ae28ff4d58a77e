"""Sample answers of the operations of the API, as its handlers return them."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from filas.contract.channel_circuits import CircuitStatus
from filas.models.findings import Diagnosis
from ingest.api.definitions.channel_fields import ChannelDelivery
from ingest.api.definitions.flow_list_routes import FlowActivity
from ingest.api.routing.route_types import Answer, Call, CsvTable, Route
from tests.fuzz.sample_values import sample_of

FLOW: Final[dict[str, Any]] = {
    "schemaVersion": 1,
    "name": "Greeting",
    "nodes": [
        {"id": "start", "type": "webhook", "position": {"x": 0, "y": 0}, "data": {"mode": "trigger"}},
        {"id": "hello", "type": "message", "position": {"x": 1, "y": 0}, "data": {"text": "{{ webhook.body.a }}"}},
    ],
    "edges": [{"id": "e1", "source": "start", "target": "hello"}],
}
CHANNEL: Final[dict[str, Any]] = {
    "id": "a", "type": "http", "url": "https://a.example", "secret": "***", "revision": 1, "createdAt": None,
    "updatedAt": None, "circuit": sample_of(CircuitStatus), "delivery": ChannelDelivery(),
}  # fmt: skip
WEBHOOK: Final[dict[str, Any]] = {"auth": {"type": "hmac", "header": "x-a", "secrets": ["***"]}}

_FIELDS: Final[Mapping[str, dict[str, Any]]] = {
    "getFlow": {"definition": FLOW},
    "listFlowVersions": {"definition": FLOW},
    "putFlow": {"definition": FLOW},
    "getFlowDraft": {"definition": FLOW},
    "putFlowDraft": {"definition": FLOW},
    "importDefinition": {"definition": FLOW},
    "listFlows": {"activity": sample_of(FlowActivity), "started_by": []},
    "getFlowTraffic": {"nodes": [], "edges": [], "executions": {"failed": 1}},
    "getFigure": {"points": []},
    "compareFlowVersions": {"differences": []},
    "compareFlowDefinition": {"differences": []},
    "getWebhook": WEBHOOK,
    "listWebhooks": WEBHOOK,
    "putWebhook": WEBHOOK,
    "addWebhookSecret": WEBHOOK,
    "removeWebhookSecret": WEBHOOK,
    "listSchedules": {"cron": "0 9 * * *"},
    "getSchedule": {"cron": "0 9 * * *"},
    "putSchedule": {"cron": "0 9 * * *"},
    "getDecodedBody": {"kind": "json", "text": '{"a":1}'},
}
"""The fields that differ from those of `sample_of`."""

_WHOLE: Final[Mapping[str, Any]] = {
    "getChannel": CHANNEL,
    "listChannels": [CHANNEL],
    "putChannel": CHANNEL,
}


def answer_of(route: Route[Any, Any], call: Call[Any, Any]) -> Answer:
    """Returns the answer of a route to a valid call."""
    name = route.operation_id
    if route.csv and getattr(call.query, "format", "") == "csv":
        return Answer(CsvTable("a,b\n"))
    if name in _WHOLE:
        return Answer(_WHOLE[name])
    if name == "doctor" and any(msgspec.structs.asdict(call.query).values()):
        return Answer(sample_of(Diagnosis))
    data = sample_of(route.answer)
    changed = _FIELDS.get(name, {})
    if changed:
        data = [_changed(one, changed) for one in data] if isinstance(data, list) else _changed(data, changed)
    return Answer(data, "WyJhIl0" if route.paged else None)


def _changed(data: Any, fields: Mapping[str, Any]) -> Any:
    return msgspec.structs.replace(data, **fields)
