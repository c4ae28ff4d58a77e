"""Requests to the public endpoint: a documented answer, nothing is accepted twice, and what is refused is not accepted.

Input: `WEBHOOK STORES METHOD QUERY`, header lines, an empty line, the body. WEBHOOK is `resume` or one of
`stubbed_reception.WEBHOOKS`; STORES are the available stores. The body is signed as its provider does, unless a header
`X-Unsigned` is given. The request is sent twice.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, get_args

from tests.captured_logs import captured_logs
from tests.fuzz.stubbed_reception import (
    ALWAYS_KEYED,
    RESUME,
    WEBHOOKS,
    Reception,
    Stores,
    loaded_webhooks,
    signature,
)
from tests.fuzz.target import chosen
from tests.fuzz.virtual_time import VirtualTimeLoop

WORDS = (
    *WEBHOOKS, "resume", *get_args(Stores), "POST", "PUT", "GET", "HEAD", "DELETE", "OPTIONS",
    "Content-Type: application/json", "Content-Type: application/x-www-form-urlencoded", "Content-Encoding: gzip",
    "Content-Type: multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n",
    "X-Unsigned: 1", "X-GitHub-Delivery: 1", "X-GitHub-Event: ping", "X-Forwarded-For: 10.0.0.1", "Accept: text/html",
    "Authorization: Basic dXNlcjpodW50ZXIyLWh1bnRlcjI=", "Origin: https://shop.example", "Expect: 100-continue",
    "Access-Control-Request-Method: POST", "Transfer-Encoding: chunked", "Content-Length: 3", "Connection: close",
    "hub.mode=subscribe", "hub.verify_token=hunter2-hunter2", "hub.challenge=1", "traceparent: 00-1-1-01",
    '{"from":"5511987650001","text":"oi"}', '{"order":{"id":1}}', '"entry":[', '"messages":[', '"update_id":1',
    '"event_id":"Ev1"', '"type":"url_verification","challenge":"x"', "\\ud800", "\\u0000", "%00", "\n\n", "x" * 64,
)  # fmt: skip
ANSWERS = frozenset({200, 202, 204, 400, 401, 403, 404, 405, 408, 413, 415, 429, 503})
"""The statuses that docs/reference/webhooks.md names, and the one that the webhook `body` defines."""

RESUME_ANSWERS = ANSWERS | {409, 410}
EXPECTED_ERRORS = frozenset({"acceptance.not_storable"})
"""The log events of level error that a request may cause. Every other one is a defect."""

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_NAMES: Mapping[str, str] = {name: name for name in (*WEBHOOKS, "resume")}
_STORES: Mapping[str, Stores] = {name: name for name in get_args(Stores)}


class _Client(asyncio.Transport):
    """The client's end of a connection, which reads all that is sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._closing = False
        self.sent = bytearray()
        self.closed = loop.create_future()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("203.0.113.9", 1) if name == "peername" else default

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: Any) -> None:
        assert not self._closing
        self.sent += data

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._loop.call_soon(self.close)

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._lost)

    abort = close

    def _lost(self) -> None:
        self._protocol.connection_lost(None)
        self.closed.set_result(None)


_LOOP = VirtualTimeLoop()
_CACHE = _LOOP.run(loaded_webhooks())


def fuzz(data: bytes) -> None:
    """Sends the request twice, on two connections."""
    line, _, rest = data.partition(b"\n")
    head, _, body = (b"\n" + rest).partition(b"\n\n")
    words = [*line.split(b" ", 3), b"", b"", b"", b""]
    webhook = chosen(_NAMES, words[0].decode("latin-1"))
    stores = chosen(_STORES, words[1].decode("latin-1"))
    path = b"/resume/" + RESUME.encode() if webhook == "resume" else b"/webhooks/" + webhook.encode()
    lines = [words[2] + b" " + path + words[3] + b" HTTP/1.1", b"Host: a.example", *head.split(b"\n")]
    if b"\nx-unsigned" not in b"\n" + head.lower():
        lines += [f"{name}: {value}".encode() for name, value in signature(webhook, body).items()]
    lines += [b"Content-Length: %d" % len(body)]
    sent = b"\r\n".join([one for one in lines if one]) + b"\r\n\r\n" + body
    with captured_logs() as events:
        asyncio.set_event_loop(_LOOP)
        try:
            _LOOP.run(_send_twice(webhook, stores, sent))
        finally:
            asyncio.set_event_loop(None)
    wrong = [one for one in events if one["log_level"] == "error" and one["event"] not in EXPECTED_ERRORS]
    assert not wrong, wrong


async def _send_twice(webhook: str, stores: Stores, sent: bytes) -> None:
    reception = Reception(_CACHE, stores)
    first = await _statuses(reception, sent)
    accepted, jobs = reception.accepted, len(reception.jobs.ids)
    known = RESUME_ANSWERS if webhook == "resume" else ANSWERS
    assert set(first) <= known, first
    if not any(status < 300 or status == 400 for status in first):  # 400: one part of a body cannot be stored
        assert not accepted, first
    if stores == "none":
        assert not accepted
        assert jobs == 0
    second = await _statuses(reception, sent)
    assert set(second) <= known, second
    if webhook in ALWAYS_KEYED:
        assert reception.accepted == accepted, "the repeated request was accepted again"
        assert len(reception.jobs.ids) == jobs, "the repeated request has another job"
    await reception.close()
    if stores != "none":
        assert reception.jobs.ids or reception.events.rows or not accepted


async def _statuses(reception: Reception, sent: bytes) -> list[int]:
    """Returns the statuses of the final answers to these bytes, after which the client ends the connection."""
    loop = asyncio.get_running_loop()
    protocol = reception.listener()
    client = _Client(loop, protocol)
    protocol.connection_made(client)
    protocol.data_received(sent)
    for _ in range(3):
        await asyncio.sleep(0)
    if not protocol.eof_received():
        client.close()
    await client.closed
    await asyncio.sleep(1.0)
    return [status for status in map(int, _STATUS.findall(bytes(client.sent))) if status >= 200]
