"""The posted requests, and two load generators: as fast as answers arrive (wrk, if installed), and at a fixed rate."""

import asyncio
import hashlib
import hmac
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

APP_SECRET = "benchmark app secret"
CONNECTIONS = 64
INTERVAL_S = 10
WORDS = "Oi! Quero saber o prazo de entrega do meu pedido e se ainda dá para trocar a cor. Obrigada! "


class Load(msgspec.Struct, frozen=True):
    """The result of a run: requests per second, latencies in ms, and the number of answers that are not 2xx.
    `intervals` has the requests per second in each ten seconds, if the load generator counts them."""

    rate: float
    p50: float
    p99: float
    failed: int
    intervals: list[float] = []


class _WrkResult(msgspec.Struct):
    requests: int
    duration: int
    p50: int
    p99: int
    refused: int
    broken: int
    sent: list[int]


def signed_bodies(run: str, count: int) -> Iterator[tuple[str, bytes]]:
    """Returns signatures and bodies: WhatsApp messages of about 500 bytes from a thousand contacts, each with its
    own id.
    """
    key = APP_SECRET.encode()
    for number in range(count):
        contact = f"55119{number % 1000:08d}"
        message = {
            "from": contact,
            "id": f"wamid.{run}{number}",
            "timestamp": "1749416383",
            "type": "text",
            "text": {"body": WORDS},
        }
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
            "contacts": [{"profile": {"name": "Maria"}, "wa_id": contact}],
            "messages": [message],
        }
        entry = {"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}
        raw = msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]})
        yield f"sha256={hmac.new(key, raw, hashlib.sha256).hexdigest()}", raw


def write_bodies(path: Path, run: str, count: int) -> None:
    """Writes the file that wrk.lua reads."""
    with path.open("wb") as file:
        for signature, body in signed_bodies(run, count):
            file.write(signature.encode() + b"\t" + body + b"\n")


def as_fast_as_answered(url: str, bodies: Path, seconds: int) -> Load:
    """Posts from 64 connections. Each sends its next request when the previous one is answered."""
    if shutil.which("wrk") is None:
        return asyncio.run(_closed_loop(url, bodies, seconds))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(Path(__file__).with_name("wrk.lua")), url]
    environ = os.environ | {"BODIES": str(bodies)}
    printed = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    found = msgspec.json.decode(printed.strip().splitlines()[-1], type=_WrkResult)
    rate = found.requests / (found.duration / 1_000_000)
    whole = found.sent[: seconds // INTERVAL_S]
    intervals = [count / INTERVAL_S for count in whole]
    return Load(rate, found.p50 / 1000, found.p99 / 1000, found.refused + found.broken, intervals)


class Poster:
    """One connection that is kept open."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, signature: str, body: bytes) -> int:
        """The status of the answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        head = f"{self._head}X-Hub-Signature-256: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        return int(answer[9:12])

    def close(self) -> None:
        """Closes the connection."""
        if self._streams is not None:
            self._streams[1].close()


def _target(url: str) -> tuple[int, str]:
    port, _, path = url.removeprefix("http://127.0.0.1:").partition("/")
    return int(port), f"/{path}"


def _lines(bodies: Path) -> Iterator[tuple[str, bytes]]:
    with bodies.open("rb") as file:
        for line in file:
            signature, _, body = line.rstrip(b"\n").partition(b"\t")
            yield signature.decode(), body


async def _closed_loop(url: str, bodies: Path, seconds: int) -> Load:
    lines, taken, failed = _lines(bodies), list[float](), 0
    began = time.perf_counter()

    async def keep_posting() -> None:
        nonlocal failed
        poster = Poster(*_target(url))
        for signature, body in lines:
            sent = time.perf_counter()
            if sent - began > seconds:
                break
            failed += await poster.post(signature, body) != 200
            taken.append(time.perf_counter() - sent)
        poster.close()

    await asyncio.gather(*(keep_posting() for _ in range(CONNECTIONS)))
    return _load(taken, time.perf_counter() - began, failed)


async def at_a_rate(url: str, bodies: Path, a_second: int, seconds: int) -> Load:
    """Posts `a_second` requests per second, whether the previous ones are answered or not.

    A latency is counted from the moment at which the request was due, so a server that stalls does not hide the
    requests that it delayed.
    """
    lines, taken, failed = _lines(bodies), list[float](), 0
    free: asyncio.LifoQueue[Poster] = asyncio.LifoQueue()
    for _ in range(CONNECTIONS * 4):
        free.put_nowait(Poster(*_target(url)))
    began = time.perf_counter() + 0.1

    async def post(due: float, signature: str, body: bytes) -> None:
        nonlocal failed
        poster = await free.get()
        failed += await poster.post(signature, body) != 200
        taken.append(time.perf_counter() - due)
        free.put_nowait(poster)

    async with asyncio.TaskGroup() as group:
        for number in range(a_second * seconds):
            due = began + number / a_second
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            group.create_task(post(due, *next(lines)))
    while not free.empty():
        free.get_nowait().close()
    return _load(taken, time.perf_counter() - began, failed)


def _load(taken: list[float], seconds: float, failed: int) -> Load:
    cuts = statistics.quantiles(taken, n=100)
    return Load(len(taken) / seconds, cuts[49] * 1000, cuts[98] * 1000, failed)
