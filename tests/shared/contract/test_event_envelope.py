"""An event as a row and an event as a job's message hold the same: nothing is lost in either direction."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from filas.contract import jobs
from filas.contract.event_envelope import (
    DecodedEvent,
    WebhookSnapshot,
    decoded_row,
    event_of_message,
    message_of_event,
    snapshot_of,
)
from filas.contract.identity import new_id
from filas.contract.jobs import WebhookJob
from filas.contract.policies import WEBHOOKS
from filas.models.configuration import ConversationRule, RateLimit, Webhook
from filas.models.events import NewEvent

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
HEADERS = st.dictionaries(TEXT, TEXT, max_size=3)
QUERY = st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=3), max_size=3)
SNAPSHOTS = st.builds(
    WebhookSnapshot,
    provider=TEXT,
    conversation=st.none() | st.dictionaries(st.sampled_from(["channel", "contact", "text"]), st.none() | TEXT),
    config=st.dictionaries(TEXT, JSON, max_size=3),
    filter=st.just(msgspec.UNSET) | st.fixed_dictionaries({"expression": TEXT}),
)
MILLISECONDS = st.integers(0, 4_102_444_800_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(0, 0, 0, ms)
)
EVENTS = st.builds(
    NewEvent,
    headers=HEADERS.map(lambda value: msgspec.json.encode(value).decode()),
    query_params=QUERY.map(lambda value: msgspec.json.encode(value).decode()),
    config=SNAPSHOTS.map(lambda value: msgspec.json.encode(value).decode()),
    body=JSON.map(msgspec.json.encode),
    received_at=MILLISECONDS,
    replay=st.integers(0, 100),
    run=st.integers(0, 100),
)
MESSAGES = st.builds(WebhookJob, headers=HEADERS, query_params=QUERY, body=JSON, timestamp=st.integers(0, 2**41),
                     config=st.dictionaries(TEXT, JSON, max_size=3), traceparent=st.none() | TEXT,
                     schema_version=st.just(jobs.FIRST_VERSION), filter=st.just(msgspec.UNSET),
                     replay=st.integers(0, 100), run=st.just(msgspec.UNSET))  # fmt: skip


def on_the_wire(message: WebhookJob) -> WebhookJob:
    """The message as the worker decodes it."""
    return jobs.decode(WEBHOOKS, msgspec.json.decode(msgspec.json.encode(message)), WebhookJob)


@given(event=EVENTS)
def test_an_event_is_the_same_after_it_was_a_job(event: NewEvent) -> None:
    """Every column of the row is in the message, or derived from it by the caller (body, content type, group)."""
    decoded = decoded_row(event, "json", msgspec.Raw(event.body))
    message = on_the_wire(message_of_event(event, decoded, recorded=True))
    body = msgspec.json.encode(message.body)
    again = event_of_message(message, body=body, content_type=event.content_type, group_key=event.group_key)
    assert again == event


@given(message=MESSAGES)
def test_a_job_is_the_same_after_it_was_an_event(message: WebhookJob) -> None:
    """Every field of the message is in the row, except those of the job itself (recorded, traceparent)."""
    message = on_the_wire(message)
    body = msgspec.json.encode(message.body)
    event = event_of_message(message, body=body, content_type="", group_key=None)
    again = message_of_event(
        event,
        decoded_row(event, message.body_kind, msgspec.Raw(body)),
        recorded=message.recorded,
        traceparent=message.traceparent,
    )
    assert on_the_wire(again) == message


@given(event=EVENTS, snapshot=SNAPSHOTS, headers=HEADERS, query_params=QUERY)
def test_acceptance_and_the_relay_make_the_same_message(
    event: NewEvent, snapshot: WebhookSnapshot, headers: dict[str, str], query_params: dict[str, str | list[str]]
) -> None:
    """Acceptance has the decoded parts at hand, the relay decodes them from the row."""
    row = msgspec.structs.replace(
        event,
        config=msgspec.json.encode(snapshot).decode(),
        headers=msgspec.json.encode(headers).decode(),
        query_params=msgspec.json.encode(query_params).decode(),
    )
    body = msgspec.Raw(event.body)
    accepted = message_of_event(row, DecodedEvent(snapshot, headers, query_params, "json", body), recorded=True)
    relayed = message_of_event(row, decoded_row(row, "json", body), recorded=True)
    assert msgspec.json.encode(accepted) == msgspec.json.encode(relayed)


def test_only_a_job_with_a_filter_needs_a_newer_worker() -> None:
    """Version 0.2 knows schema version 1. It reads every other job, and leaves those with a filter to this version."""
    event = NewEvent(
        id=new_id(), webhook_id="w", flow_id="f", node_id="start", method="POST", headers="{}", query_params="{}",
        body=b"{}", content_type="", remote_address="", duplicate_key=None, group_key=None, config="{}",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    versions = {}
    for filter_of in (None, {"expression": "true"}):
        snapshot = WebhookSnapshot(filter=msgspec.UNSET if filter_of is None else filter_of)
        row = msgspec.structs.replace(event, config=msgspec.json.encode(snapshot).decode())
        message = message_of_event(row, decoded_row(row, "json", {}), recorded=True)
        sent = msgspec.json.decode(msgspec.json.encode(message))
        versions[sent["schemaVersion"]] = sent.get("filter")
    assert versions == {1: None, 2: {"expression": "true"}}


def test_a_snapshot_holds_what_reading_an_event_needs() -> None:
    """The provider, the conversation rule and the config, and nothing secret."""
    webhook = Webhook(
        id="orders",
        flow_id="welcome",
        node_id="start",
        path="orders",
        methods=["POST"],
        auth={"type": "stripe", "secrets": ["enc:…"]},
        rate_limit=RateLimit(),
        dedupe=None,
        conversation=ConversationRule(channel="shop", contact="{{ body.from }}"),
        config={"k": 1},
        max_body_bytes=1,
    )
    assert msgspec.json.encode(snapshot_of(webhook)).decode() == (
        '{"provider":"stripe","conversation":{"channel":"shop","contact":"{{ body.from }}","text":null},'
        '"config":{"k":1}}'
    )
