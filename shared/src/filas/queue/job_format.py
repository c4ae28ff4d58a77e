"""The format of jobs and results in Redis: arq's dictionaries, as JSON.

A job is `{"t":attempt or null,"f":function,"a":[…],"k":{…},"et":ms}`. Our own jobs have their message in `k.job`. A
result has these fields and `s` (success), `r` (result), `st`, `ft` (start and end in ms), `q` (queue) and `id`. An
exception in `r` is `{"$error":{"type":…,"message":…}}`. `serialize` and `deserialize` are for stock arq clients and
workers on our queues. Pickle is never used, because loading it can execute code.
"""

import asyncio
from typing import Any, TypeVar

import msgspec

from filas import errors
from filas.contract.jobs import SCHEMA_VERSION, JobMessage, decode
from filas.contract.policies import QueuePolicy
from filas.errors import FilasError, JobDecodeError

Message = TypeVar("Message", bound=JobMessage)


class JobFailed(FilasError):
    """A stored result's error whose type is not known here. The text is `type: message`."""


class JobEncodeError(errors.PermanentError):
    """A job that cannot be enqueued: its message is not valid JSON, or its key, group or priority is invalid."""


class Keywords(msgspec.Struct):
    """The keyword arguments (`k`) of a job. Those of a stock producer other than `job` are ignored."""

    job: msgspec.Raw = msgspec.Raw(b"")


class Envelope(msgspec.Struct):
    """A job as arq stores it. Its message is not decoded yet."""

    f: str
    a: list[msgspec.Raw] = []
    k: Keywords = msgspec.field(default_factory=Keywords)
    t: int | None = None
    et: int = 0


class Call(msgspec.Struct):
    """The arguments of arq's `enqueue_job`, for a function without a message type."""

    args: list[Any]
    kwargs: dict[str, Any]


class _Arguments(msgspec.Struct):
    a: msgspec.Raw = msgspec.Raw(b"[]")
    k: msgspec.Raw = msgspec.Raw(b"{}")


class _WholeEnvelope(msgspec.Struct):
    f: str
    a: list[Any] = []
    k: dict[str, Any] = {}


def _encode_other(value: object) -> object:
    if isinstance(value, BaseException):
        return {"$error": {"type": type(value).__name__, "message": str(value)}}
    raise TypeError(f"a {type(value).__name__} cannot be encoded in a job")


_encoder = msgspec.json.Encoder(enc_hook=_encode_other)
_envelopes = msgspec.json.Decoder(Envelope)
_arguments = msgspec.json.Decoder(_Arguments)
_whole_envelopes = msgspec.json.Decoder(_WholeEnvelope)
_decoders: dict[type[JobMessage], msgspec.json.Decoder[Any]] = {}

_KNOWN_ERRORS: dict[str, type[BaseException]] = {
    "CancelledError": asyncio.CancelledError,
    "TimeoutError": TimeoutError,
    "ValueError": ValueError,
    "TypeError": TypeError,
    "KeyError": KeyError,
    "RuntimeError": RuntimeError,
    "PermanentError": errors.PermanentError,
    "JobDecodeError": JobDecodeError,
}


def encode(value: object) -> bytes:
    """Returns `value`, which may contain exceptions, as JSON. Raises JobEncodeError if JSON cannot represent it."""
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise JobEncodeError(f"a value cannot be encoded as JSON: {error}") from None


def encode_job(function: str, message: JobMessage | msgspec.Raw | None, enqueued_at_ms: int) -> bytes:
    """Returns the payload of one of our own jobs. Without a message, the job has no arguments."""
    arguments = {} if message is None else {"job": message}
    return encode({"t": None, "f": function, "a": (), "k": arguments, "et": enqueued_at_ms})


def decode_envelope(payload: bytes) -> Envelope:
    """Decodes a payload, except its message. Raises JobDecodeError if it is not arq's JSON."""
    try:
        return _envelopes.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise JobDecodeError(f"the payload is not arq's JSON: {error}") from None


def raw_message(envelope: Envelope) -> bytes:
    """Returns the JSON of the message: `k.job`, or the only positional argument of a stock producer; else b""."""
    raw = bytes(envelope.k.job)
    return raw or (bytes(envelope.a[0]) if len(envelope.a) == 1 else b"")


def decode_message(policy: QueuePolicy, envelope: Envelope, message_type: type[Message]) -> Message:
    """Returns the message in `envelope`. Raises the errors of `filas.contract.jobs.decode`."""
    raw = raw_message(envelope)
    decoder = _decoders.get(message_type)
    if decoder is None:
        decoder = _decoders[message_type] = msgspec.json.Decoder(message_type)
    try:
        message: Message = decoder.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # The slower decoder of the contract produces the error message.
        try:
            value: object = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise JobDecodeError(f"a job of {policy.name} has no valid message: {error}") from None
        return decode(policy, value, message_type)
    if message.schema_version > SCHEMA_VERSION:
        return decode(policy, {"schemaVersion": message.schema_version}, message_type)
    return message


def decode_call(payload: bytes) -> Call:
    """Returns the arguments of a job of a stock producer. Raises JobDecodeError."""
    try:
        whole = _whole_envelopes.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise JobDecodeError(f"the payload is not arq's JSON: {error}") from None
    return Call(whole.a, whole.k)


def raw_arguments(payload: bytes) -> tuple[msgspec.Raw, msgspec.Raw]:
    """Returns `a` and `k` of a job as encoded JSON. Both are empty if the payload cannot be decoded."""
    try:
        found = _arguments.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = _Arguments()
    return found.a, found.k


def serialize(job: dict[str, Any]) -> bytes:
    """The `job_serializer` for stock arq, for jobs and results. Raises JobEncodeError; arq accepts any exception."""
    return encode(job)


def deserialize(data: bytes) -> dict[str, Any]:
    """The `job_deserializer` for stock arq. The error of a failed job is returned as an exception."""
    job: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    result = job.get("r")
    if isinstance(result, dict) and set(result) == {"$error"}:
        job["r"] = _rebuild(result["$error"])
    return job


def _rebuild(error: object) -> BaseException:
    if not isinstance(error, dict):
        return JobFailed(str(error))
    name, message = str(error.get("type", "")), str(error.get("message", ""))
    known = _KNOWN_ERRORS.get(name)
    return known(message) if known else JobFailed(f"{name}: {message}")
