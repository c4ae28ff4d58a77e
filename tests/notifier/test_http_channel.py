"""The channel `http` against receivers on this machine, well-behaved and hostile."""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from uuid import uuid4

import pytest
import standardwebhooks

from filas.outbound.client import OutboundClient
from filas.settings.value_types import Networks
from notifier.channels import http, provider_call
from notifier.channels.channel import (
    Delivered,
    InvalidConfiguration,
    OutgoingMessage,
    PermanentFailure,
    TemporaryFailure,
    Tools,
)
from notifier.channels.http import HttpChannel
from tests.notifier.receiver import Behaviour, Flood, answer, never, receiver, reset

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
HOME = Networks((ip_network("127.0.0.1/32"),))


@pytest.fixture
async def outbound() -> AsyncIterator[OutboundClient]:
    async with OutboundClient(HOME) as client:
        yield client


def channel(outbound: OutboundClient, url: str, secret: str | list[str] = SECRET) -> HttpChannel:
    return http.build({"url": url, "secret": secret}, Tools(outbound, print, outbound.open_socket))


def message(**content: object) -> OutgoingMessage:
    return OutgoingMessage(
        id=uuid4(),
        to="5511999990000",
        content=content or {"type": "text", "text": "Olá Maria! 🎉"},
        idempotency_key="execution:5",
        execution_id=uuid4(),
    )


async def test_a_message_is_posted_signed_and_under_its_idempotency_key(outbound: OutboundClient) -> None:
    sent = message()
    async with receiver(answer(204)) as outside:
        assert await channel(outbound, f"{outside.url}/in").deliver(sent) == Delivered(status_code=204)
    (got,) = outside.received
    assert got.document == {
        "id": str(sent.id),
        "to": "5511999990000",
        "type": "text",
        "text": "Olá Maria! 🎉",
        "executionId": str(sent.execution_id),
    }
    assert got.headers["idempotency-key"] == "execution:5"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == str(sent.id)
    assert standardwebhooks.Webhook(SECRET).verify(got.body, got.headers) == got.document


async def test_both_secrets_of_a_rotation_sign(outbound: OutboundClient) -> None:
    async with receiver(answer(200)) as outside:
        await channel(outbound, outside.url, [SECRET, OTHER_SECRET]).deliver(message())
    (got,) = outside.received
    for secret in (SECRET, OTHER_SECRET):
        standardwebhooks.Webhook(secret).verify(got.body, got.headers)


async def test_content_can_not_take_the_place_of_the_message_s_own_fields(outbound: OutboundClient) -> None:
    sent = message(type="text", text="x", id="other", to="another", executionId="other")
    async with receiver(answer(200)) as outside:
        await channel(outbound, outside.url).deliver(sent)
    (got,) = outside.received
    assert got.document["id"] == str(sent.id)
    assert got.document["to"] == "5511999990000"
    assert got.document["executionId"] == str(sent.execution_id)


@pytest.mark.parametrize(
    ("status", "retry_after", "after_s"),
    [
        (429, "7", 7.0),
        (429, None, None),
        (503, "120", 120.0),
        (503, "99999999", 3600.0),
        (500, None, None),
        (502, "soon", None),
    ],
)
async def test_a_receiver_that_is_busy_or_broken_is_tried_again_when_it_wants(
    outbound: OutboundClient, status: int, retry_after: str | None, after_s: float | None
) -> None:
    async with receiver(answer(status, {"Retry-After": retry_after} if retry_after else None)) as outside:
        result = await channel(outbound, outside.url).deliver(message())
    assert isinstance(result, TemporaryFailure)
    assert (result.kind, result.after_s, result.status_code) == ("http-status", after_s, status)
    assert result.wait_for == ("channel" if status in (429, 503) else "none")
    assert not result.uncertain


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422, 301, 302, 307, 304])
async def test_a_receiver_that_does_not_want_it_is_never_tried_again(outbound: OutboundClient, status: int) -> None:
    async with receiver(answer(status, {"Location": "/elsewhere"})) as outside:
        result = await channel(outbound, outside.url).deliver(message())
    assert isinstance(result, PermanentFailure)
    assert (result.kind, result.status_code) == ("http-status", status)
    assert len(outside.received) == 1


@pytest.mark.parametrize(("behaviour", "kind"), [(never, "timeout"), (reset, "communication")])
async def test_a_receiver_that_reads_the_message_and_never_answers_leaves_it_uncertain(
    outbound: OutboundClient, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour, kind: str
) -> None:
    monkeypatch.setattr(provider_call, "TIMEOUT_S", 0.5)
    async with receiver(behaviour) as outside:
        result = await channel(outbound, outside.url).deliver(message())
    assert isinstance(result, TemporaryFailure)
    assert (result.kind, result.uncertain) == (kind, True)


async def test_a_receiver_that_is_not_there_has_certainly_not_got_it(outbound: OutboundClient) -> None:
    async with receiver(answer(200)) as outside:
        pass
    result = await channel(outbound, outside.url).deliver(message())
    assert isinstance(result, TemporaryFailure)
    assert (result.kind, result.uncertain) == ("communication", False)


async def test_a_gigabyte_of_answer_is_not_read_and_the_message_is_delivered(outbound: OutboundClient) -> None:
    flood = Flood()
    async with receiver(flood) as outside:
        assert isinstance(await channel(outbound, outside.url).deliver(message()), Delivered)
    assert flood.pieces < flood.PIECES


async def test_a_private_address_is_refused_for_good() -> None:
    async with receiver(answer(200)) as outside, OutboundClient() as guarded:
        result = await channel(guarded, outside.url).deliver(message())
    assert isinstance(result, PermanentFailure)
    assert result.kind == "refused"
    assert outside.received == []


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"url": "http://receiver.example/"},
        {"url": 5, "secret": SECRET},
        {"url": "http://receiver.example/", "secret": "pa55word!"},
        {"url": "http://receiver.example/", "secret": []},
        {"url": "http://receiver.example/", "secret": [SECRET, ""]},
    ],
)
async def test_a_wrong_configuration_is_named_without_its_secret(
    outbound: OutboundClient, config: dict[str, object]
) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        http.build(config, Tools(outbound, print, outbound.open_socket))
    assert "pa55word" not in str(refused.value)
