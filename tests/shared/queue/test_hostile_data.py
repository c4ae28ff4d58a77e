"""Hostile data in the queue: it becomes a dead letter or a clear error, and the worker continues."""

import contextlib
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.contract.jobs import NotificationJob
from filas.contract.policies import NOTIFICATIONS
from filas.errors import JobDecodeError, PermanentError
from filas.queue import job_format
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.queue.worker.retry_decision import decide, describe
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, function, job, raising
from tests.waiting import eventually

MESSAGE = b'{"notificationId":"0190e2a4-0000-7000-8000-000000000001","channelId":"c"}'

BROKEN = {
    "nothing": b"",
    "a pickle": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01.",
    "no JSON": b"{",
    "another shape": b"[1,2]",
    "no function": b'{"a":[],"k":{},"et":1}',
    "no name of a function": b'{"f":7,"a":[],"k":{"job":' + MESSAGE + b'},"et":1}',
    "no message": b'{"f":"deliver_notification","a":[],"k":{},"et":1}',
    "too many arguments": b'{"f":"deliver_notification","a":[1,2],"k":{},"et":1}',
    "a field too many": b'{"f":"deliver_notification","a":[],"k":{"job":{"x":1}},"et":1}',
    "a wrong type": b'{"f":"deliver_notification","a":[],"k":{"job":{"notificationId":7,"channelId":"c"}},"et":1}',
    "a version that is no number": b'{"f":"deliver_notification","k":{"job":{"schemaVersion":"2",'
    + MESSAGE[1:]
    + b'},"et":1}',
    "a lone surrogate": b'{"f":"deliver_notification","k":{"job":{"notificationId":"\\ud800"}},"et":1}',
    "no UTF-8": b'{"f":"deliver_notification\xff","k":{},"et":1}',
    "a time out of range": b'{"f":"deliver_notification","k":{},"et":9223372036854775807}',
    "deep nesting": b'{"f":"deliver_notification","k":{"job":' + b"[" * 5000 + b"]" * 5000 + b'},"et":1}',
}


async def enqueue_raw(redis: Redis, raw_id: bytes, payload: bytes | None) -> None:
    """Enqueues a payload as any client with access to Redis could."""
    if payload is not None:
        await redis.client.set(b"arq:job:" + raw_id, payload)
    await redis.client.zadd(QUICK.name, {raw_id: time.time() * 1000})


async def test_a_broken_job_becomes_a_dead_letter_and_the_worker_continues(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """Each dead letter has the payload, the reason and the id. The valid job among them runs."""
    for number, payload in enumerate(BROKEN.values()):
        await enqueue_raw(redis, b"broken-%d" % number, payload)
    await enqueue_raw(redis, b"missing", None)
    await enqueue_raw(redis, b"\xff\xfe id \x00", BROKEN["no JSON"])
    seen = Recorder()
    await producer.enqueue(job("good"))
    start_worker([function(seen)])
    await eventually(lambda: seen.keys == ["good"])
    await eventually(lambda: len(letters.stored) == len(BROKEN) + 2)
    assert {letter.error.kind for letter in letters.stored} == {"decode", "permanent"}
    by_id = {letter.job_id: letter for letter in letters.stored}
    assert by_id["missing"].payload == b""
    assert "\\xff\\xfe id \x00" in by_id
    assert by_id["broken-1"].payload == BROKEN["a pickle"]
    left = [key async for key in redis.client.scan_iter("arq:*")]
    assert left == []


async def test_an_error_message_of_any_text_is_recorded(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """Also a lone surrogate, a NUL and a megabyte of text. A long text is shortened."""
    errors = [PermanentError("\ud800 \0 é"), PermanentError("x" * 1_000_000)]
    start_worker([function(Recorder(raising(*errors)))], concurrency=1)
    await producer.enqueue_many([job("a"), job("b")])
    await eventually(lambda: len(letters.stored) == 2)
    # The two are recorded at the same time, in any order.
    short, long = sorted((letter.error.message for letter in letters.stored), key=len)
    assert short == "\\ud800 \0 é"
    assert len(long) == 2000


async def test_a_result_that_is_not_json_is_no_failure(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """The job completes. Its stored result is `unable to serialize result`."""
    new = job("a")
    await producer.enqueue(new)
    start_worker([function(Recorder(lambda *_: object()), keep_result_s=60)])

    async def result() -> bytes | None:
        found: bytes | None = await redis.client.get(f"arq:result:{new.job_id}")
        return found

    stored = job_format.deserialize(await eventually(result) or b"")
    assert (stored["s"], stored["r"]) == (False, "unable to serialize result")
    assert letters.stored == []


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_raise_a_decode_error(payload: bytes) -> None:
    """No other exception is raised."""
    with contextlib.suppress(JobDecodeError):
        job_format.decode_message(NOTIFICATIONS, job_format.decode_envelope(payload), NotificationJob)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("tfak") | st.just("et"), JSON))
def test_any_json_is_decoded_or_raises_a_decode_error(job: dict[str, object]) -> None:
    """No other exception is raised for JSON with the right field names."""
    try:
        payload = msgspec.json.encode(job)
    except UnicodeEncodeError:
        return
    with contextlib.suppress(JobDecodeError):
        job_format.decode_message(NOTIFICATIONS, job_format.decode_envelope(payload), NotificationJob)


@given(st.text(), st.integers(1, 10), st.integers(1, 10))
def test_every_error_has_a_decision_and_a_description(text: str, attempt: int, max_attempts: int) -> None:
    """An error is retried before the last attempt and makes a dead letter at it. Its description is valid JSON."""
    decision = decide(ValueError(text), attempt, max_attempts, NOTIFICATIONS)
    assert decision.action == ("retry" if attempt < max_attempts else "dead-letter")
    msgspec.json.encode(describe(ValueError(text)))


@pytest.mark.parametrize("known", [ValueError("x"), TimeoutError("x"), KeyError("x"), PermanentError("x")])
def test_a_known_error_keeps_its_type_in_redis(known: Exception) -> None:
    """It is decoded as the same type."""
    decoded = job_format.deserialize(job_format.serialize({"r": known, "s": False}))["r"]
    assert type(decoded) is type(known)
