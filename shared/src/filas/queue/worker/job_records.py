"""The records of an attempt that ended: the ring's record, arq's result, the history entry and the dead letter."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from filas.errors import JobDecodeError
from filas.models.dead_letters import NewDeadLetter
from filas.models.record import ErrorDetail
from filas.queue.finished_job import FinishedJob
from filas.queue.job_format import JobEncodeError, decode_envelope, encode, raw_arguments, raw_message
from filas.queue.worker.claimed_job import NOT_DECODED, ClaimedJob

_encoder = msgspec.json.Encoder()


class _CallFields(msgspec.Struct):
    """The first fields of arq's result, except the number of the attempt: the function and its arguments."""

    f: str
    a: msgspec.Raw
    k: msgspec.Raw
    et: int


class _ResultFields(msgspec.Struct):
    """The remaining fields of arq's result, under arq's names."""

    s: bool
    r: Any
    st: int
    ft: int
    q: str
    id: str


_FIRST_ATTEMPT = b'{"t":null,'


def ring_record(job: ClaimedJob, started: float, finished: float, error: ErrorDetail | None) -> bytes:
    """Returns the JSON of the job's FinishedJob. Times are Unix seconds."""
    return _encoder.encode(
        FinishedJob(
            id=job.job_id,
            name=job.context.function,
            attempts_made=job.attempt,
            enqueued_on=job.enqueued_ms,
            processed_on=int(started * 1000),
            finished_on=int(finished * 1000),
            group=job.context.group,
            error=error,
        )
    )


def result_record(job: ClaimedJob, queue: str, success: bool, result: Any, times: tuple[float, float]) -> bytes:
    """Returns arq's result as JSON. `times` are the start and the end in Unix seconds.

    A result that cannot be encoded becomes the failure `unable to serialize result`, as with stock arq.
    """
    fields = _ResultFields(success, result, int(times[0] * 1000), int(times[1] * 1000), queue, job.job_id)
    try:
        encoded = encode(fields)
    except JobEncodeError:
        fields.r, fields.s = "unable to serialize result", False
        encoded = encode(fields)
    return b'{"t":%d,%b,%b' % (job.attempt, _call_fields(job), encoded[1:])


def _call_fields(job: ClaimedJob) -> bytes:
    """Returns the JSON of a _CallFields without its braces. A decoded job's payload contains it already."""
    payload = job.payload or b""
    if job.function is not NOT_DECODED and payload.startswith(_FIRST_ATTEMPT):
        return payload[len(_FIRST_ATTEMPT) :].rstrip()[:-1]
    args, kwargs = raw_arguments(payload)
    return encode(_CallFields(job.context.function, args, kwargs, job.enqueued_ms))[1:-1]


def history_entry(job: ClaimedJob, error: ErrorDetail, started: float, failed: float) -> bytes:
    """Returns the JSON of a failed attempt, an element of a dead letter's history. Times are Unix seconds."""
    entry = {
        "attempt": job.attempt,
        "error": error,
        "startedAt": int(started * 1000),
        "failedAt": int(failed * 1000),
    }
    return _encoder.encode(entry)


def dead_letter(job: ClaimedJob, queue: str, error: ErrorDetail, entry: bytes, failed: float) -> bytes:
    """Returns the JSON of the job's NewDeadLetter. `entry` is the history entry of the last attempt.

    A payload that cannot be decoded is stored whole.
    """
    payload, function = job.payload or b"", job.context.function
    with contextlib.suppress(JobDecodeError):
        envelope = decode_envelope(payload)
        function = envelope.f
        payload = raw_message(envelope) or payload
    letter = NewDeadLetter(
        queue=queue,
        job_id=job.job_id,
        function=function,
        payload=payload,
        group_key=job.context.group,
        error=error,
        attempts=job.attempt,
        history=[msgspec.json.decode(one) for one in (*job.history, entry)],
        enqueued_at=datetime.fromtimestamp(job.enqueued_ms / 1000, UTC) if 0 < job.enqueued_ms < 1e14 else None,
        failed_at=datetime.fromtimestamp(failed, UTC),
    )
    return _encoder.encode(letter)
