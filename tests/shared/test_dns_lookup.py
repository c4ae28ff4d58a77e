"""DNS lookups: a slow one delays no other."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from filas.errors import OutboundTimeout
from filas.outbound.client import OutboundClient
from filas.outbound.dns_lookup import MAX_LOOKUPS, DnsLookup
from filas.settings.value_types import Networks
from tests.shared.test_outbound import HOME, echo, receiver
from tests.waiting import eventually


class DeadNames:
    """The system's lookup, in which names under `dead.example` hang until `answer` is set; `asked` counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer = threading.Event()
        self.asked: list[str] = []
        real = socket.getaddrinfo

        def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
            self.asked.append(host)
            if str(host).endswith("dead.example"):
                self.answer.wait(30)
                raise socket.gaierror(socket.EAI_AGAIN, "no server answers")
            return real(host, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeadNames]:
    names = DeadNames(monkeypatch)
    yield names
    names.answer.set()


@pytest.fixture
async def names() -> AsyncIterator[DnsLookup]:
    looked_up = DnsLookup()
    yield looked_up
    await looked_up.close()


async def test_a_name_has_its_addresses_in_both_forms(names: DnsLookup) -> None:
    found = await names.addresses("127.0.0.1", 25)
    assert [(one[1], one[4]) for one in found] == [(socket.SOCK_STREAM, ("127.0.0.1", 25))]
    (result,) = await names.resolve("127.0.0.1", 80)
    assert (result["host"], result["port"], result["family"]) == ("127.0.0.1", 80, socket.AF_INET)
    with pytest.raises(OSError, match=r"not known|resolution"):
        await names.addresses("no-such-host.invalid", 25)
    with pytest.raises(UnicodeError):
        await names.addresses("a" * 64 + ".example", 25)


async def test_many_lookups_of_one_name_use_one_thread(dead: DeadNames, names: DnsLookup) -> None:
    """A cancelled caller does not cancel the lookup for the others."""
    asking = [asyncio.create_task(names.addresses("dead.example", 25)) for _ in range(100)]
    await eventually(lambda: dead.asked)
    asking[0].cancel()
    dead.answer.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert {type(answer) for answer in answers[1:]} == {socket.gaierror}
    assert dead.asked == ["dead.example"]
    dead.answer.clear()


async def test_names_without_an_answer_delay_no_other(dead: DeadNames) -> None:
    """HTTP and mail continue, although half of all threads wait for such names."""
    async with receiver(echo) as url, OutboundClient(Networks(HOME)) as client:
        hosts = [f"{number}.dead.example" for number in range(MAX_LOOKUPS // 2)]
        waiting = [
            *(asyncio.create_task(client.request("POST", f"http://{host}/", timeout_s=60)) for host in hosts[::2]),
            *(asyncio.create_task(client.open_socket(host, 25, timeout_s=60)) for host in hosts[1::2]),
        ]
        await eventually(lambda: len(set(dead.asked)) == len(hosts))
        port = int(url.rpartition(":")[2])
        answer = await client.request("GET", f"http://localhost:{port}/", timeout_s=30)
        assert answer.status == 200
        (await client.open_socket("localhost", port, timeout_s=30)).close()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(OutboundTimeout):
            await client.request("POST", f"http://{hosts[0]}/", timeout_s=0.2)
