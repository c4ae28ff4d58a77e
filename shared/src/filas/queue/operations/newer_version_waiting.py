"""Which jobs of a queue wait for a worker of a newer version. The doctor reports them."""

import contextlib
from typing import Any, Final

import msgspec

from filas.contract.policies import QueuePolicy
from filas.errors import JobDecodeError
from filas.queue.job_format import decode_envelope, raw_message
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.queue_keys import JOB

MAX_READ: Final = 20


class NewerVersionWaiting(msgspec.Struct, frozen=True, kw_only=True):
    """`jobs` wait, the first one of those read for `longest_s` seconds. `examples` name functions and versions."""

    jobs: int
    longest_s: float
    examples: list[str]


async def read_newer_version_waiting(redis: Redis, policy: QueuePolicy) -> NewerVersionWaiting | None:
    """Returns the jobs that wait, with up to MAX_READ of them as examples; None: no job waits. Raises StoreUnavailable.

    The entry of a job that another program has finished is ignored.
    """
    key = redis.keys(policy.name).named("newer")
    number = int(await redis.command("HLEN", key))
    if number == 0:
        return None
    _, found = await redis.command("HSCAN", key, 0, "COUNT", MAX_READ)
    ids = list(found)[:MAX_READ]
    payloads: list[bytes | None] = await redis.command("MGET", *[JOB.encode() + raw_id for raw_id in ids])
    seconds, _ = await redis.command("TIME")
    since = [
        int(found[raw_id].split(b"|")[0]) / 1000
        for raw_id, payload in zip(ids, payloads, strict=True)
        if payload is not None
    ]
    if not since:
        return None
    examples = {_named(payload) for payload in payloads if payload is not None}
    return NewerVersionWaiting(jobs=number, longest_s=int(seconds) - min(since), examples=sorted(examples)[:5])


def _named(payload: bytes) -> str:
    """The function of a job, with the schema version of its message."""
    name, version = "<unknown>", None
    with contextlib.suppress(JobDecodeError, msgspec.MsgspecError, ValueError):
        envelope = decode_envelope(payload)
        name = envelope.f[:100]
        message: Any = msgspec.json.decode(raw_message(envelope) or b"null")
        version = message.get("schemaVersion") if isinstance(message, dict) else None
    return f"{name} (schema version {version})" if isinstance(version, int) else name
