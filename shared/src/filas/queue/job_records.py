"""What is written about a finished job: its record in the ring, arq's result, and its dead letter."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from filas.errors import JobDecodeError
from filas.models.dead_letters import NewDeadLetter
from filas.models.record import ErrorDetail
from filas.queue.job_format import JobEncodeError, decode_envelope, encode, raw_arguments, raw_message
from filas.queue.worker.claimed_job import UNKNOWN, HeldJob

_encoder = msgspec.json.Encoder()


class FinishedJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The record of a finished job in the ring of its queue. Times are Unix ms."""

    id: str
    name: str
    attempts_made: int
    enqueued_on: int
    processed_on: int
    finished_on: int
    group: str | None = None
    error: ErrorDetail | None = None


class _Called(msgspec.Struct):
    """The first part of arq's result but for the number of tries: the job."""

    f: str
    a: msgspec.Raw
    k: msgspec.Raw
    et: int


class _Ending(msgspec.Struct):
    """The second part of arq's result, under arq's names."""

    s: bool
    r: Any
    st: int
    ft: int
    q: str
    id: str


_NEVER_TRIED = b'{"t":null,'


def ring_record(job: HeldJob, started: float, finished: float, error: ErrorDetail | None) -> bytes:
    """The JSON of the job's FinishedJob."""
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


def result_record(job: HeldJob, queue: str, success: bool, result: Any, times: tuple[float, float]) -> bytes:
    """arq's result. A result that JSON has no form for becomes a failure that says so, as with arq."""
    ending = _Ending(success, result, int(times[0] * 1000), int(times[1] * 1000), queue, job.job_id)
    try:
        told = encode(ending)
    except JobEncodeError:
        ending.r, ending.s = "unable to serialize result", False
        told = encode(ending)
    return b'{"t":%d,%b,%b' % (job.attempt, _called(job), told[1:])


def _called(job: HeldJob) -> bytes:
    """The fields of a _Called. A job that was decoded has them already, as we and stock producers write it."""
    payload = job.payload or b""
    if job.function is not UNKNOWN and payload.startswith(_NEVER_TRIED):
        return payload[len(_NEVER_TRIED) :].rstrip()[:-1]
    args, kwargs = raw_arguments(payload)
    return encode(_Called(job.context.function, args, kwargs, job.enqueued_ms))[1:-1]


def history_entry(job: HeldJob, error: ErrorDetail, started: float, failed: float) -> bytes:
    """The JSON of one failed try, as it stands in a dead letter's history."""
    entry = {
        "attempt": job.attempt,
        "error": error,
        "startedAt": int(started * 1000),
        "failedAt": int(failed * 1000),
    }
    return _encoder.encode(entry)


def dead_letter(job: HeldJob, queue: str, error: ErrorDetail, entry: bytes, failed: float) -> bytes:
    """The JSON of the job's NewDeadLetter: everything that there is to know of it."""
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


def text(raw: bytes) -> str:
    """Bytes as text; what is no UTF-8 shows as escapes."""
    return raw.decode("utf-8", "backslashreplace")
