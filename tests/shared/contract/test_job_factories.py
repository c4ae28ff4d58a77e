"""The jobs of every message, byte for byte: processes of older and newer versions read the same jobs."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from filas.contract import job_factories
from filas.contract.event_envelope import decoded_row, message_of_event
from filas.contract.group_keys import conversation_group, webhook_group
from filas.contract.jobs import (
    MESSAGE_TYPES,
    OTHER_FUNCTIONS,
    DeliveryReceiptJob,
    FlowTestJob,
    GivenAnswer,
    JobMessage,
    LearnAddressesJob,
)
from filas.contract.new_job import NewJob
from filas.contract.policies import QUEUES
from filas.models.events import NewEvent
from filas.models.executions import DueExecution, FollowingExecution

ROW = UUID("0192f0c1-0000-7000-8000-000000000001")
ID = str(ROW)
NO_SPAN = msgspec.UNSET

EVENT = NewEvent(
    id=ROW,
    webhook_id="orders",
    flow_id="welcome",
    node_id="start",
    method="POST",
    headers='{"content-type":"application/json"}',
    query_params='{"a":["1","2"]}',
    body=b'{"from":"+55","text":"oi"}',
    content_type="application/json",
    remote_address="203.0.113.9",
    duplicate_key="the key",
    group_key="shop:+55",
    config='{"provider":"none","conversation":{"channel":"shop","contact":"{{ body.from }}","text":null},'
    '"config":{"k":1}}',
    received_at=datetime(2026, 11, 22, 12, 0, 0, 123000, tzinfo=UTC),
)
DUE = DueExecution(
    id=ROW, turn=3, flow_id="welcome", conversation_id=None, status="queued", channel="shop", contact="+55"
)
RECEIPT = DeliveryReceiptJob(
    channel_id="wa",
    provider_id="wamid.1",
    status="failed",
    timestamp=1_790_000_000_000,
    error_kind="delivery",
    error_message="no",
)
TEST_RUN = FlowTestJob(
    run_id=ROW,
    flow_id="welcome",
    version=None,
    definition={},
    node_id=None,
    trigger={},
    message=None,
    channel=None,
    contact=None,
    vars={},
    outputs={},
    replies=[None, "a"],
    answers={"n": [GivenAnswer()]},
)


def webhook_job(replay: int = 0) -> NewJob:
    """The job of EVENT, as the relay makes it."""
    body = msgspec.Raw(EVENT.body)
    event = msgspec.structs.replace(EVENT, replay=replay)
    message = message_of_event(event, decoded_row(event, "json", body), recorded=True)
    return job_factories.webhook_job(message, EVENT.group_key)


def webhook_message(replay: int) -> str:
    """The message of EVENT on the wire."""
    return (
        f'{{"schemaVersion":1,"replay":{replay},"eventId":"{ID}","webhookId":"orders","method":"POST","headers":'
        '{"content-type":"application/json"},"queryParams":{"a":["1","2"]},"body":{"from":"+55","text":"oi"},"bodyKind"'
        ':"json","timestamp":1795348800123,"flowId":"welcome","nodeId":"start","config":{"k":1},"provider":"none",'
        '"conversation":{"channel":"shop","contact":"{{ body.from }}","text":null},"recorded":true,"duplicateKey":'
        '"the key","remoteAddress":"203.0.113.9"}'
    )


ADDRESSES = LearnAddressesJob(
    channel_id="wa",
    medium="whatsapp",
    address="+55 11 8765-0001",
    others=["551187650001"],
    sends_to="551187650001",
)


# Made with version 0.1.0, before the factories existed: job id, function, group, priority, message.
FROZEN = {
    "an event": (
        webhook_job(),
        (f"{{webhook-processing}}:{ID}", "process_webhook", "shop:+55", None),
        webhook_message(0),
    ),
    "the second replay of an event": (
        webhook_job(2),
        (f"{{webhook-processing}}:{ID}:replay-2", "process_webhook", "shop:+55", None),
        webhook_message(2),
    ),
    "a turn of an execution": (
        job_factories.flow_job(DUE, "start", "00-tp"),
        (f"{{flow-processing}}:{ID}:3", "run_flow", "shop:+55", None),
        (
            f'{{"schemaVersion":1,"replay":0,"traceparent":"00-tp","executionId":"{ID}","turn":3,"flowId":"welcome",'
            '"reason":"start"}'
        ),
    ),
    "a turn outside of a conversation": (
        job_factories.flow_job(msgspec.structs.replace(DUE, channel=None, contact=None), "timer", NO_SPAN),
        (f"{{flow-processing}}:{ID}:3", "run_flow", None, None),
        f'{{"schemaVersion":1,"replay":0,"executionId":"{ID}","turn":3,"flowId":"welcome","reason":"timer"}}',
    ),
    "the error flow of a failed execution": (
        job_factories.error_flow_job(FollowingExecution(id=ROW, flow_id="apology", trigger="{}"), "shop", "+55"),
        (f"{{flow-processing}}:{ID}:1", "run_flow", "shop:+55", None),
        f'{{"schemaVersion":1,"replay":0,"executionId":"{ID}","turn":1,"flowId":"apology","reason":"error"}}',
    ),
    "the cancellation of an execution": (
        job_factories.cancel_execution_job(ROW, "welcome", NO_SPAN),
        (f"{{flow-processing}}:{ID}:0", "run_flow", None, None),
        f'{{"schemaVersion":1,"replay":0,"executionId":"{ID}","turn":0,"flowId":"welcome","reason":"cancel"}}',
    ),
    "a test run": (
        job_factories.flow_test_job(TEST_RUN),
        (f"{{flow-processing}}:test:{ID}", "test_flow", None, 1),
        (
            f'{{"schemaVersion":1,"replay":0,"runId":"{ID}","flowId":"welcome","version":null,"definition":{{}},"nodeId":'
            'null,"trigger":{},"message":null,"channel":null,"contact":null,"vars":{},"outputs":{},"replies":[null,"a"],'
            '"answers":{"n":[{}]}}'
        ),
    ),
    "a notification": (
        job_factories.notification_job(ROW, "shop", "+55", NO_SPAN),
        (f"{{notifications}}:{ID}", "deliver_notification", "shop:+55", None),
        f'{{"schemaVersion":1,"replay":0,"notificationId":"{ID}","channelId":"shop"}}',
    ),
    "a delivery receipt": (
        job_factories.delivery_receipt_job(RECEIPT),
        (
            "{notifications}:status:wa:da2f7f8d6171c4b37c6bbbfa87c9126b:failed",
            "update_delivery_status",
            None,
            None,
        ),
        (
            '{"schemaVersion":1,"replay":0,"channelId":"wa","providerId":"wamid.1","status":"failed","timestamp":'
            '1790000000000,"idempotencyKey":null,"errorKind":"delivery","errorMessage":"no"}'
        ),
    ),
    "the addresses of a recipient": (
        job_factories.learn_addresses_job(ADDRESSES),
        (
            "{webhook-processing}:addresses:a335e32f43fda2b4c5aa7e95d84dfe2b",
            "learn_addresses",
            "wa:5511987650001",
            None,
        ),
        (
            '{"schemaVersion":1,"replay":0,"channelId":"wa","medium":"whatsapp","address":"+55 11 8765-0001","others":'
            '["551187650001"],"sendsTo":"551187650001"}'
        ),
    ),
    "the cancellation of a notification": (
        job_factories.cancel_notification_job(ROW, replay=2),
        (f"{{notifications}}:cancel:{ID}:replay-2", "cancel_notification", None, None),
        f'{{"schemaVersion":1,"replay":2,"notificationId":"{ID}"}}',
    ),
}


@pytest.mark.parametrize(("job", "identity", "message"), FROZEN.values(), ids=FROZEN)
def test_a_job_is_the_one_that_version_0_1_0_made(
    job: NewJob, identity: tuple[str, str, str | None, int | None], message: str
) -> None:
    """Job id, function, group, priority and wire format."""
    function = job.function or job.policy.function
    assert (job.job_id, function, job.group, job.priority) == identity
    assert msgspec.json.encode(job.message).decode() == message


@pytest.mark.parametrize("job", [job for job, _, _ in FROZEN.values()], ids=FROZEN)
def test_the_next_replay_of_a_job_has_a_key_of_its_own(job: NewJob) -> None:
    """It is for the same queue, function and group, and due after the given time."""
    assert job.message is not None
    again = job_factories.next_replay_job(job.message, job.group, 1_500)
    assert again.message == msgspec.structs.replace(job.message, replay=job.message.replay + 1)
    assert again.key == f"{job.key.partition(':replay-')[0]}:replay-{job.message.replay + 1}"
    assert (again.policy, again.function, again.group) == (job.policy, job.function, job.group)
    assert (again.delay_ms, again.defer_until_ms, again.priority) == (1_500, None, None)


def test_every_message_has_a_queue_and_a_function_of_its_own() -> None:
    """Each queue has one main function; the other functions are found by their names."""
    types = [*MESSAGE_TYPES.values(), *OTHER_FUNCTIONS.values()]
    assert len({message.function for message in types}) == len(types)
    assert [MESSAGE_TYPES[queue.name].function for queue in QUEUES] == [queue.function for queue in QUEUES]
    assert {message.policy for message in types} == set(QUEUES)


def test_a_message_of_no_queue_has_no_key() -> None:
    """The base type is not a message."""
    with pytest.raises(NotImplementedError, match="JobMessage"):
        _ = JobMessage().key


def test_group_keys_name_the_conversation_or_the_webhook() -> None:
    """A missing or empty part means that there is no conversation."""
    assert conversation_group("shop", "+55") == "shop:+55"
    assert conversation_group("shop", None) is None
    assert conversation_group(None, "+55") is None
    assert conversation_group("shop", "") is None
    assert webhook_group("orders") == "webhook:orders"
