"""Checks the channels: those that are paused, fail or do not exist, and the messages that were not delivered."""

from filas.contract.channel_circuits import CircuitStatus
from filas.doctor.sentences import NOTHING, cause_of, finding, sentence
from filas.doctor.stores import Checked, DoctorStores
from filas.errors import StoreUnavailable
from filas.models.configuration import Channel
from filas.models.diagnosis_rows import FailedMessages, WaitingMessages
from filas.models.findings import Finding, Subject
from filas.queue.channel_circuits import ChannelCircuits
from filas.repository.definitions.channels import ChannelRepository


async def check_channels(stores: DoctorStores) -> Checked:
    """Raises StoreUnavailable."""
    page = await ChannelRepository(stores.database).list(limit=500)
    channels: list[Channel] = page.items
    waiting = {one.channel_id: one for one in await stores.rows.waiting_by_channel()}
    failed = {one.channel_id: one for one in await stores.rows.failed_by_channel(stores.settings.failures_within_s)}
    number = "1 channel" if len(channels) == 1 else f"{len(channels)} channels"
    checked = Checked(f"{number}; messages waiting: {sum(one.count for one in waiting.values())}")
    for channel, circuit in zip(channels, await _circuits(stores, channels), strict=True):
        if circuit is not None and circuit.state != "closed":
            checked.findings.append(_paused(channel.id, circuit, waiting.get(channel.id), failed.get(channel.id)))
    checked.findings += [_unknown(one) for one in waiting.values() if one.unknown]
    checked.findings += [_undelivered(one) for one in failed.values()]
    return checked


async def _circuits(stores: DoctorStores, channels: list[Channel]) -> list[CircuitStatus | None]:
    try:
        return list(await ChannelCircuits(stores.redis).status_many([one.id for one in channels]))
    except StoreUnavailable:
        return [None] * len(channels)


def _paused(
    channel_id: str, circuit: CircuitStatus, waiting: WaitingMessages | None, failed: FailedMessages | None
) -> Finding:
    behind = 0 if waiting is None else waiting.count
    is_busy = circuit.reason == "busy"
    code = "channel-paused" if is_busy else "channel-failing"
    until = NOTHING
    if circuit.until is not None and circuit.state == "open":
        until = sentence("doctor.until", time=f"{circuit.until:%H:%M:%S}")
    error = next((one.error for one in (waiting, failed) if one is not None and one.error is not None), None)
    last = NOTHING if error is None else sentence("doctor.last-error", reason=error.message[:200])
    messages = sentence("doctor.messages-wait", count=behind)
    return finding(
        code,
        "warning" if is_busy else "critical",
        Subject(kind="channel", id=channel_id),
        sentence(f"doctor.{code}", channel=channel_id, until=until, messages=messages, last=last),
        sentence(f"doctor.{code}-remedy"),
        evidence={
            "state": circuit.state,
            "until": None if circuit.until is None else circuit.until.isoformat(),
            "waiting": behind,
        },
        since=None if waiting is None else waiting.since,
    )


def _unknown(waiting: WaitingMessages) -> Finding:
    return finding(
        "channel-unknown",
        "critical",
        Subject(kind="channel", id=waiting.channel_id),
        sentence("doctor.channel-unknown", number=waiting.count, channel=waiting.channel_id),
        sentence("doctor.channel-unknown-remedy", channel=waiting.channel_id),
        evidence={"waiting": waiting.count},
        since=waiting.since,
    )


def _undelivered(failed: FailedMessages) -> Finding:
    cause = cause_of(failed.error, 200)
    return finding(
        "messages-undelivered",
        "warning",
        Subject(kind="channel", id=failed.channel_id),
        sentence("doctor.messages-undelivered", count=failed.count, channel=failed.channel_id, cause=cause),
        sentence("doctor.messages-undelivered-remedy"),
        evidence={"count": failed.count, "last": failed.last.isoformat(), "example": str(failed.example)},
        since=failed.first,
    )
