"""The messages of the queues are strict: the schema decides, and an error names the field."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.contract import jobs
from filas.contract.policies import FLOWS, QUEUES, WEBHOOKS
from filas.errors import JobDecodeError, NewerVersionRequired

EVENT = UUID("0192f0c1-0000-7000-8000-000000000001")

WEBHOOK: dict[str, Any] = {
    "schemaVersion": 1,
    "eventId": str(EVENT),
    "webhookId": "orders",
    "method": "POST",
    "headers": {"content-type": "application/json"},
    "queryParams": {"tag": ["a", "b"]},
    "body": {"text": "oi"},
    "timestamp": 1_790_000_000_000,
    "flowId": "welcome",
    "nodeId": "start",
    "config": {},
}


def test_a_webhook_job_keeps_its_fields_on_the_wire() -> None:
    """The consumer decodes what the producer encodes."""
    job = jobs.decode(WEBHOOKS, WEBHOOK, jobs.WebhookJob)
    again = jobs.decode(WEBHOOKS, msgspec.to_builtins(job), jobs.WebhookJob)
    assert again == job
    assert job.event_id == EVENT
    assert job.body == {"text": "oi"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"eventId": "not-an-id"}, "eventId"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"webhookId": None}, "webhookId"),
        ({"bodyKind": 7}, "bodyKind"),
    ],
)
def test_a_wrong_field_is_rejected_by_name(change: dict[str, Any], named: str) -> None:
    """The error names the field and the queue."""
    with pytest.raises(JobDecodeError, match=named) as caught:
        jobs.decode(WEBHOOKS, WEBHOOK | change, jobs.WebhookJob)
    assert "webhook-processing" in str(caught.value)


@pytest.mark.parametrize("missing", sorted(set(WEBHOOK) - {"schemaVersion"}))
def test_a_missing_field_is_rejected_by_name(missing: str) -> None:
    """Every field without a default is required."""
    with pytest.raises(JobDecodeError, match=missing):
        jobs.decode(WEBHOOKS, {name: value for name, value in WEBHOOK.items() if name != missing}, jobs.WebhookJob)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"schemaVersion": jobs.SCHEMA_VERSION + 1, "newField": True}, "schema version"),
        ({"bodyKind": "xml"}, "bodyKind"),
    ],
)
def test_a_newer_version_is_left_to_a_newer_worker(change: dict[str, Any], named: str) -> None:
    """A worker that is older than the producer must not guess. A newer version may have added a value."""
    with pytest.raises(NewerVersionRequired, match=named):
        jobs.decode(WEBHOOKS, WEBHOOK | change, jobs.WebhookJob)


def test_an_unknown_field_is_ignored() -> None:
    """A newer version may add a field that older workers need not know."""
    with_field = jobs.decode(WEBHOOKS, WEBHOOK | {"surprise": 1}, jobs.WebhookJob)
    assert with_field == jobs.decode(WEBHOOKS, WEBHOOK, jobs.WebhookJob)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_any_payload_decodes_or_is_rejected(payload: Any) -> None:
    """No payload makes the decoder raise another error."""
    for policy in QUEUES:
        message_type = jobs.MESSAGE_TYPES[policy.name]
        try:
            jobs.decode(policy, payload, message_type)
        except (JobDecodeError, NewerVersionRequired):
            continue


def test_keys_derive_from_rows_and_replays_have_their_own() -> None:
    """The relay and the normal path make the same key. A replay has another key."""
    flow = jobs.FlowJob(execution_id=EVENT, turn=3, flow_id="welcome")
    assert flow.key == f"{EVENT}:3"
    assert msgspec.structs.replace(flow, replay=2).key == f"{EVENT}:3:replay-2"
    assert FLOWS.job_id(flow.key) == f"{{flow-processing}}:{EVENT}:3"


def test_the_policies_are_the_architectures_table() -> None:
    """Users and manifests rely on these names, attempts, backoffs and timeouts."""
    table = [(p.name, p.short, p.priority, p.max_attempts, p.backoff_s, p.timeout_s) for p in QUEUES]
    assert table == [
        ("webhook-processing", "webhook", 1, 3, 2.0, 30.0),
        ("flow-processing", "flow", 2, 3, 2.0, 60.0),
        ("notifications", "notification", 3, 2, 2.0, 15.0),
    ]
