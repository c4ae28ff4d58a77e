"""Checks the channels: those that are paused, fail or do not exist, and the messages that were not delivered."""

from filas.contract.channel_circuits import CircuitStatus
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
    cause = "its provider asked for a pause" if is_busy else "its last messages failed"
    count = "1 message waits" if behind == 1 else f"{behind} messages wait"
    until = f" until {circuit.until:%H:%M:%S} UTC" if circuit.until is not None and circuit.state == "open" else ""
    error = next((one.error for one in (waiting, failed) if one is not None and one.error is not None), None)
    last = f"; the last error: {error.message[:200]}" if error is not None else ""
    return Finding(
        code="channel-paused" if is_busy else "channel-failing",
        severity="warning" if is_busy else "critical",
        subject=Subject(kind="channel", id=channel_id),
        message=f"the channel {channel_id} is paused{until}, because {cause}; {count}{last}",
        remedy="nothing: it continues by itself" if is_busy else "check the channel's address and credentials",
        evidence={
            "state": circuit.state,
            "until": None if circuit.until is None else circuit.until.isoformat(),
            "waiting": behind,
        },
        since=None if waiting is None else waiting.since,
    )


def _unknown(waiting: WaitingMessages) -> Finding:
    return Finding(
        code="channel-unknown",
        severity="critical",
        subject=Subject(kind="channel", id=waiting.channel_id),
        message=f"{waiting.count} messages wait for the channel {waiting.channel_id}, which does not exist",
        remedy=f"store the channel {waiting.channel_id}, or cancel the messages",
        evidence={"waiting": waiting.count},
        since=waiting.since,
    )


def _undelivered(failed: FailedMessages) -> Finding:
    error = failed.error
    cause = "" if error is None else f": {error.kind}: {error.message[:200]}"
    count = "1 message" if failed.count == 1 else f"{failed.count} messages"
    return Finding(
        code="messages-undelivered",
        severity="warning",
        subject=Subject(kind="channel", id=failed.channel_id),
        message=f"{count} over {failed.channel_id} could not be delivered{cause}",
        remedy="correct the cause; then send them again with `filas notifications retry ID`",
        evidence={"count": failed.count, "last": failed.last.isoformat(), "example": str(failed.example)},
        since=failed.first,
    )
