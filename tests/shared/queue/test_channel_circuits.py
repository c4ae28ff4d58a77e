"""Circuits and rates of destinations against a real Redis, seen by two processes at once."""

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
from filas.queue.redis_client.connection import connect_url
from tests.waiting import eventually


@pytest.fixture
async def pair(redis_url: str) -> AsyncIterator[tuple[ChannelCircuits, ChannelCircuits]]:
    """Two processes' views of the same destinations."""
    first, second = connect_url(redis_url), connect_url(redis_url)
    yield ChannelCircuits(first), ChannelCircuits(second)
    await first.close()
    await second.close()


Pair = tuple[ChannelCircuits, ChannelCircuits]


def asks(
    number: int = 1, *, recipient: str = "r", per_second: float = 0.0, per_recipient: float = 0.0
) -> AdmissionRequest:
    limits = ChannelLimits(per_second=per_second, per_recipient=per_recipient)
    return AdmissionRequest(channel_id="d", id=f"m{number}", recipient=recipient, limits=limits)


def says(what: str, number: int = 1, pause_s: float | None = None) -> ChannelReport:
    return ChannelReport(channel_id="d", id=f"m{number}", outcome=what, pause_s=pause_s)  # type: ignore[arg-type]


async def until_half_open(store: ChannelCircuits) -> CircuitStatus:
    async def over() -> CircuitStatus | None:
        status = await store.status("d")
        return status if status.state == "half-open" else None

    return await eventually(over, 5)


async def test_a_destination_of_which_nothing_is_known_takes_everything(
    pair: tuple[ChannelCircuits, ChannelCircuits],
) -> None:
    first, _ = pair
    assert await asyncio.gather(*(first.admit(asks(number)) for number in range(50))) == [Admitted()] * 50
    assert await first.status("d") == CircuitStatus(state="closed")


async def test_what_one_process_hears_holds_for_the_other(pair: Pair) -> None:
    """A pause is for all; other destinations don't notice."""
    first, second = pair
    verdict = await first.report(says("busy", pause_s=30.0))
    assert verdict.change == "opened"
    put_off = await second.admit(asks(2))
    assert isinstance(put_off, Deferred)
    assert put_off.reason == "paused"
    assert put_off.delay_s == pytest.approx(30.0, abs=1.0)
    other = AdmissionRequest(channel_id="other", id="m", recipient="r", limits=ChannelLimits())
    assert await second.admit(other) == Admitted()
    status = await second.status("d")
    assert (status.state, status.reason) == ("open", "busy")


async def test_five_failures_in_a_row_open_the_circuit_and_a_success_between_starts_anew(
    pair: tuple[ChannelCircuits, ChannelCircuits],
) -> None:
    first, second = pair
    for number in range(policy.FAILURES_TO_OPEN - 1):
        assert (await first.report(says("failure", number))).change == "none"
    assert await second.admit(asks()) == Admitted(reports_success=True)
    await second.report(says("success"))
    for number in range(policy.FAILURES_TO_OPEN):
        verdict = await (first, second)[number % 2].report(says("failure", number))
    assert verdict.change == "opened"
    assert verdict.resume_s == pytest.approx(policy.OPEN_S, abs=0.5)
    assert (await first.status("d")).reason == "failing"


async def test_after_the_pause_one_message_finds_out(pair: Pair) -> None:
    """The others wait for it; when it has arrived all may go."""
    first, second = pair
    await first.report(says("busy", pause_s=0.0))
    await until_half_open(first)
    probe = await first.admit(asks(1))
    assert isinstance(probe, Admitted)
    assert probe.probe
    waiting = await second.admit(asks(2))
    assert isinstance(waiting, Deferred)
    assert waiting.reason == "half-open"
    assert (await second.report(says("success", 2))).change == "none"  # it was sent before the pause
    assert (await first.report(says("success", 1))).change == "closed"
    assert await second.admit(asks(2)) == Admitted()


async def test_a_probe_that_sent_nothing_leaves_its_place(pair: Pair) -> None:
    first, second = pair
    await first.report(says("busy", pause_s=0.0))
    await until_half_open(first)
    await first.admit(asks(1))
    await first.report(says("unsent", 1))
    assert await second.admit(asks(2)) == Admitted(probe=True)


async def test_pauses_double_and_many_failures_at_once_count_as_one(
    pair: tuple[ChannelCircuits, ChannelCircuits],
) -> None:
    """A hundred messages that were under way don't make the next pause a hundred times longer."""
    first, _ = pair
    await asyncio.gather(*(first.report(says("busy", number)) for number in range(100)))
    status = await until_half_open(first)
    assert status.until is not None
    probe = await first.admit(asks(1))
    assert isinstance(probe, Admitted)
    verdict = await first.report(says("busy", 1))
    assert verdict.resume_s == pytest.approx(2 * policy.BUSY_PAUSE_S, abs=0.1)


async def test_a_longer_pause_is_not_shortened_by_a_shorter_one(pair: Pair) -> None:
    first, second = pair
    await first.report(says("busy", pause_s=30.0))
    assert (await second.report(says("busy", pause_s=1.0))).resume_s == pytest.approx(30.0, abs=1.0)
    assert (await second.report(says("failure"))).resume_s == pytest.approx(30.0, abs=1.0)


async def test_a_rate_gives_each_message_its_own_time(pair: Pair) -> None:
    """Ten a second: the first goes, the second waits in its handler or comes back, each 0.1 s after the one before."""
    first, second = pair
    answers = [await (first, second)[number % 2].admit(asks(number, per_second=10.0)) for number in range(6)]
    assert answers[0] == Admitted()
    delays = [answer.delay_s for answer in answers[1:]]
    assert all(isinstance(answer, Deferred) and answer.reason == "rate" for answer in answers[1:])
    steps = [later - earlier for earlier, later in pairwise(delays)]
    assert all(0.05 < step < 0.11 for step in steps), delays


async def test_who_comes_back_at_its_time_goes_before_who_comes_new(
    pair: tuple[ChannelCircuits, ChannelCircuits],
) -> None:
    first, second = pair
    await first.admit(asks(1, per_second=5.0))
    waiting = await first.admit(asks(2, per_second=5.0))
    assert isinstance(waiting, Deferred)

    async def admitted() -> bool:
        newcomer = await second.admit(asks(100, per_second=5.0))
        assert isinstance(newcomer, Deferred)
        return isinstance(await first.admit(asks(2, per_second=5.0)), Admitted)

    await eventually(admitted, 2)


async def test_no_second_sees_more_than_the_rate_when_everybody_comes_late(
    pair: tuple[ChannelCircuits, ChannelCircuits],
) -> None:
    """Their worker was away until every reservation had passed."""
    first, second = pair
    for number in range(25):
        await first.admit(asks(number, per_second=10.0))
    reserved = range(1, 25)
    last = await first.admit(asks(24, per_second=10.0))
    assert isinstance(last, Deferred)
    deadline = asyncio.get_running_loop().time() + last.delay_s + 0.05
    await eventually(lambda: asyncio.get_running_loop().time() > deadline, 5)
    answers = await asyncio.gather(*(second.admit(asks(number, per_second=10.0)) for number in reserved))
    admitted = [answer for answer in answers if isinstance(answer, Admitted)]
    assert 1 <= len(admitted) <= 22, "at most what two seconds take, should one end in between"
    assert all(answer.delay_s > 0 for answer in answers if isinstance(answer, Deferred))


async def test_a_receiver_has_a_rate_of_its_own(pair: Pair) -> None:
    first, second = pair
    assert await first.admit(asks(1, recipient="maria", per_recipient=1.0)) == Admitted()
    again = await second.admit(asks(2, recipient="maria", per_recipient=1.0))
    assert isinstance(again, Deferred)
    assert (again.reason, 0.5 < again.delay_s <= 1.0) == ("recipient", True)
    assert await second.admit(asks(3, recipient="joão", per_recipient=1.0)) == Admitted()


async def test_who_waits_for_its_receiver_takes_no_slot_of_the_rate(
    pair: tuple[ChannelCircuits, ChannelCircuits],
) -> None:
    first, _ = pair

    def asks_both(number: int, receiver: str) -> AdmissionRequest:
        return asks(number, recipient=receiver, per_second=1000.0, per_recipient=1.0)

    await first.admit(asks_both(1, "maria"))
    for number in range(2, 50):
        assert isinstance(await first.admit(asks_both(number, "maria")), Deferred)
    other = await first.admit(asks_both(50, "joão"))
    assert isinstance(other, Admitted)
