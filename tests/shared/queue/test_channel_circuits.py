"""Circuits and rates of channels in a real Redis, used by two processes at once."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from filas.contract import channel_circuits as policy
from filas.contract.channel_circuits import (
    AdmissionRequest,
    Admitted,
    ChannelLimits,
    ChannelReport,
    CircuitStatus,
    Deferred,
)
from filas.queue.channel_circuits import ChannelCircuits
from tests.redis_address import connect_url
from tests.waiting import eventually


@pytest.fixture
async def pair(redis_url: str) -> AsyncIterator[tuple[ChannelCircuits, ChannelCircuits]]:
    """Returns the circuits as two processes see them."""
    first, second = connect_url(redis_url), connect_url(redis_url)
    yield ChannelCircuits(first), ChannelCircuits(second)
    await first.close()
    await second.close()


Pair = tuple[ChannelCircuits, ChannelCircuits]


def request(
    number: int = 1, *, recipient: str = "r", per_second: float = 0.0, per_recipient: float = 0.0
) -> AdmissionRequest:
    limits = ChannelLimits(per_second=per_second, per_recipient=per_recipient)
    return AdmissionRequest(channel_id="d", id=f"m{number}", recipient=recipient, limits=limits)


def report(outcome: str, number: int = 1, pause_s: float | None = None) -> ChannelReport:
    return ChannelReport(channel_id="d", id=f"m{number}", outcome=outcome, pause_s=pause_s)  # type: ignore[arg-type]


async def until_half_open(store: ChannelCircuits) -> CircuitStatus:
    async def half_open() -> CircuitStatus | None:
        status = await store.status("d")
        return status if status.state == "half-open" else None

    return await eventually(half_open)


async def test_an_unknown_channel_admits_everything(
    pair: tuple[ChannelCircuits, ChannelCircuits],
) -> None:
    first, _ = pair
    assert await asyncio.gather(*(first.admit(request(number)) for number in range(50))) == [Admitted()] * 50
    assert await first.status("d") == CircuitStatus(state="closed")


async def test_the_report_of_one_process_applies_to_all(pair: Pair) -> None:
    """A pause applies to all processes, but not to other channels."""
    first, second = pair
    change = await first.report(report("busy", pause_s=30.0))
    assert change.change == "opened"
    deferred = await second.admit(request(2))
    assert isinstance(deferred, Deferred)
    assert deferred.reason == "paused"
    assert 0.0 < deferred.delay_s <= 30.0
    other = AdmissionRequest(channel_id="other", id="m", recipient="r", limits=ChannelLimits())
    assert await second.admit(other) == Admitted()
    status = await second.status("d")
    assert (status.state, status.reason) == ("open", "busy")


async def test_five_failures_in_a_row_open_the_circuit_and_a_success_resets_them(
    pair: tuple[ChannelCircuits, ChannelCircuits],
) -> None:
    first, second = pair
    for number in range(policy.FAILURES_TO_OPEN - 1):
        assert (await first.report(report("failure", number))).change == "none"
    assert await second.admit(request()) == Admitted(reports_success=True)
    await second.report(report("success"))
    for number in range(policy.FAILURES_TO_OPEN):
        change = await (first, second)[number % 2].report(report("failure", number))
    assert change.change == "opened"
    assert change.resume_s == pytest.approx(policy.OPEN_S, abs=0.5)
    assert (await first.status("d")).reason == "failing"


async def test_after_the_pause_one_message_is_the_probe(pair: Pair) -> None:
    """The other messages wait for it. Its success closes the circuit."""
    first, second = pair
    await first.report(report("busy", pause_s=0.0))
    await until_half_open(first)
    probe = await first.admit(request(1))
    assert isinstance(probe, Admitted)
    assert probe.probe
    waiting = await second.admit(request(2))
    assert isinstance(waiting, Deferred)
    assert waiting.reason == "half-open"
    assert (await second.report(report("success", 2))).change == "none"  # it was sent before the pause
    assert (await first.report(report("success", 1))).change == "closed"
    assert await second.admit(request(2)) == Admitted()


async def test_after_a_probe_that_sent_nothing_another_message_is_the_probe(pair: Pair) -> None:
    first, second = pair
    await first.report(report("busy", pause_s=0.0))
    await until_half_open(first)
    await first.admit(request(1))
    await first.report(report("unsent", 1))
    assert await second.admit(request(2)) == Admitted(probe=True)


async def test_pauses_double_and_many_failures_at_once_count_as_one(
    pair: tuple[ChannelCircuits, ChannelCircuits],
) -> None:
    """A hundred messages in progress do not make the next pause a hundred times longer."""
    first, _ = pair
    await asyncio.gather(*(first.report(report("busy", number)) for number in range(100)))
    status = await until_half_open(first)
    assert status.until is not None
    probe = await first.admit(request(1))
    assert isinstance(probe, Admitted)
    change = await first.report(report("busy", 1))
    assert change.resume_s == pytest.approx(2 * policy.BUSY_PAUSE_S, abs=0.1)


async def test_a_longer_pause_is_not_shortened_by_a_shorter_one(pair: Pair) -> None:
    first, second = pair
    await first.report(report("busy", pause_s=30.0))
    # A pause of one second, or of a failure, would end much earlier. The rest is what a slow machine has used.
    for shorter in (report("busy", pause_s=1.0), report("failure")):
        resume_s = (await second.report(shorter)).resume_s
        assert resume_s is not None
        assert 2 * policy.OPEN_S < resume_s <= 30.0


async def test_a_rate_gives_each_message_its_own_slot(pair: Pair) -> None:
    """At one in ten seconds, the first message is admitted, and each further one gets a slot 10 s after the one before.
    The rate is that low so that the calls of a slow machine are quick in comparison."""
    first, second = pair
    answers = [await (first, second)[number % 2].admit(request(number, per_second=0.1)) for number in range(6)]
    assert answers[0] == Admitted()
    delays = [answer.delay_s for answer in answers[1:]]
    assert all(isinstance(answer, Deferred) and answer.reason == "rate" for answer in answers[1:])
    steps = [later - earlier for earlier, later in pairwise(delays)]
    assert all(5.0 < step < 10.1 for step in steps), delays


async def test_a_reservation_precedes_a_new_message(
    pair: tuple[ChannelCircuits, ChannelCircuits],
) -> None:
    first, second = pair
    await first.admit(request(1, per_second=5.0))
    waiting = await first.admit(request(2, per_second=5.0))
    assert isinstance(waiting, Deferred)

    async def admitted() -> bool:
        new_message = await second.admit(request(100, per_second=5.0))
        reserved = await first.admit(request(2, per_second=5.0))
        # Both slots may have passed since the last call.
        assert isinstance(new_message, Deferred) or isinstance(reserved, Admitted)
        return isinstance(reserved, Admitted)

    await eventually(admitted)


async def test_late_reservations_do_not_exceed_the_rate(
    pair: tuple[ChannelCircuits, ChannelCircuits],
) -> None:
    """The worker was busy until all reservations had passed."""
    first, second = pair
    await first.admit_many([request(number, per_second=10.0) for number in range(25)])
    reserved = range(1, 25)
    last = await first.admit(request(24, per_second=10.0))
    assert isinstance(last, Deferred)
    deadline = asyncio.get_running_loop().time() + last.delay_s + 0.05
    await eventually(lambda: asyncio.get_running_loop().time() > deadline)
    answers = await second.admit_many([request(number, per_second=10.0) for number in reserved])
    admitted = [answer for answer in answers if isinstance(answer, Admitted)]
    assert 1 <= len(admitted) <= 22, "at most the rate of two seconds, because a second may end in between"
    assert all(answer.delay_s > 0 for answer in answers if isinstance(answer, Deferred))


async def test_a_recipient_has_its_own_rate(pair: Pair) -> None:
    first, second = pair
    assert await first.admit(request(1, recipient="maria", per_recipient=0.1)) == Admitted()
    again = await second.admit(request(2, recipient="maria", per_recipient=0.1))
    assert isinstance(again, Deferred)
    assert (again.reason, 5.0 < again.delay_s <= 10.0) == ("recipient", True)
    assert await second.admit(request(3, recipient="joão", per_recipient=0.1)) == Admitted()


async def test_a_message_that_waits_for_its_recipient_uses_no_slot_of_the_rate(
    pair: tuple[ChannelCircuits, ChannelCircuits],
) -> None:
    first, _ = pair

    def request_both(number: int, recipient: str) -> AdmissionRequest:
        return request(number, recipient=recipient, per_second=1000.0, per_recipient=0.01)

    await first.admit(request_both(1, "maria"))
    for number in range(2, 50):
        assert isinstance(await first.admit(request_both(number, "maria")), Deferred)
    other = await first.admit(request_both(50, "joão"))
    assert isinstance(other, Admitted)
