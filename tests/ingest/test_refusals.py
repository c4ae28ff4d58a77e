"""Refused requests are recorded: rows without secrets, one line of the log a minute, and little work in a flood."""

import asyncio
import gzip
from types import SimpleNamespace
from typing import Any

import pytest
from multidict import CIMultiDict

from filas.errors import StoreUnavailable
from filas.models.configuration import RateLimit
from filas.models.refusals import NewRefusal, Refusal
from filas.repository.refusals import RefusalFilter, RefusalRepository
from ingest.http import error_answers
from ingest.receive import refusal_recorder, refused_content
from ingest.receive.refusal_recorder import RefusalRecorder
from tests.cpu_costs import cpu_s
from tests.ingest.serving import Serving, raw, serving, webhook
from tests.waiting import eventually

TOKEN = "kT-9hq2-zzs-very-secret"
BEARER = webhook("shop", auth={"type": "bearer", "secrets": [TOKEN]}, max_body_bytes=100, rate_limit=RateLimit(max=1))


async def refusals_of(app: Serving, count: int) -> list[Refusal]:
    """Returns the refusals, the oldest first, as soon as there are `count`."""
    repository = RefusalRepository(app.database)

    async def stored() -> list[Refusal]:
        items: list[Refusal] = (await repository.search(RefusalFilter(), cursor=None, limit=100)).items
        return items[::-1] if len(items) >= count else []

    return await eventually(stored)


async def test_each_refused_request_is_kept(redis_url: str, postgres_dsn: str) -> None:
    """404, 405, 401, 413, 415, 429 and 400, with what was read of them."""
    right = {"Authorization": f"Bearer {TOKEN}"}
    async with serving(redis_url, postgres_dsn, BEARER) as app:
        sent: list[tuple[str, str, bytes, dict[str, str]]] = [
            ("POST", "shopp?utm=1", b'{"n":1}', {}),
            ("DELETE", "shop", b"", {}),
            ("POST", "shop", b'{"n":2}', {"Authorization": "Bearer wrong"}),
            ("POST", "shop", b'{"n":"' + b"x" * 200 + b'"}', right),
            ("POST", "shop", b'{"n":3}', right),
            ("POST", "shop", b'{"n":4}', right),
        ]
        for method, path, body, headers in sent:
            async with app.request(method, path, data=body, headers=headers):
                pass
        await raw(app.port, b"POST /webhooks/shop HTTP/1.1\r\nHost: a\r\nBad Header\r\n\r\n")
        await app.store_webhooks(webhook("json"))
        await app.post("json", b"{nope")
        found = await refusals_of(app, 7)
        assert [(one.status, one.reason, one.webhook_id, one.path) for one in found] == [
            (404, "unknown", None, "/webhooks/shopp"),
            (405, "method", "shop", "/webhooks/shop"),
            (401, "signature", "shop", "/webhooks/shop"),
            (413, "too-large", "shop", "/webhooks/shop"),
            (429, "rate-limit", "shop", "/webhooks/shop"),
            (400, "malformed", None, ""),
            (415, "not-json", "json", "/webhooks/json"),
        ]
        assert {one.address for one in found} == {"127.0.0.1"}
        large = sent[3][2].decode()
        assert [one.body for one in found] == ['{"n":1}', "", '{"n":2}', large, '{"n":4}', "", "{nope"]
        assert found[0].query_params == {"utm": "1"}
        assert found[2].detail.startswith("credentials-wrong: ")
        assert found[3].size == 208


async def test_what_postgres_rejects_is_kept(redis_url: str, postgres_dsn: str) -> None:
    """Bytes that are no text, and characters that Postgres cannot hold."""
    async with serving(redis_url, postgres_dsn) as app:
        request = b"POST /webhooks/%00%ff?a=%00 HTTP/1.1\r\nHost: a\r\nX-A: \xff\r\nContent-Length: 2\r\n\r\n\x00\xff"
        assert b" 404 " in await raw(app.port, request)
        (one,) = await refusals_of(app, 1)
        assert (one.body, one.body_encoding, one.size) == ("AP8=", "base64", 2)
        assert one.headers["x-a"] == "ÿ"


async def test_the_last_refusals_are_stored_at_the_end(redis_url: str, postgres_dsn: str) -> None:
    async with serving(redis_url, postgres_dsn) as app:
        assert (await app.post("nothing", {}))[0] == 404
        await app.public.refusals.close()
        assert len((await RefusalRepository(app.database).search(RefusalFilter(), cursor=None, limit=9)).items) == 1


async def test_only_the_newest_rows_are_kept(redis_url: str, postgres_dsn: str) -> None:
    async with serving(redis_url, postgres_dsn) as app:
        repository = RefusalRepository(app.database)
        for path in ("a", "b", "c"):
            await app.post(path, {})
        await refusals_of(app, 3)
        await repository.delete_oldest(keep=2)
        left = await repository.search(RefusalFilter(), cursor=None, limit=9)
        assert [one.path for one in left.items] == ["/webhooks/c", "/webhooks/b"]


class _Request:
    """A request to an unknown path, as the recorder reads it."""

    method = "POST"
    declared_length = 2
    received_bytes = 2

    def __init__(self, path: str) -> None:
        self.path = path
        self.headers: CIMultiDict[str] = CIMultiDict()
        self.query: dict[str, str] = {}

    def read_beginning(self, _max_bytes: int) -> bytes:
        return b"{}"


class _Store:
    """Records what is written. Raises `failure` while it is set."""

    def __init__(self) -> None:
        self.rows: list[NewRefusal] = []
        self.failure: Exception | None = None
        self.failed = 0

    async def insert_many(self, refusals: Any) -> None:
        if self.failure is not None:
            self.failed += 1
            raise self.failure
        self.rows += refusals

    async def delete_oldest(self) -> None:
        pass


def _refuse(recorder: RefusalRecorder, path: str = "/webhooks/x", address: str = "192.0.2.1") -> None:
    recorder.add(_Request(path), error_answers.unknown_webhook(), None, address)  # type: ignore[arg-type]


async def test_a_flood_costs_little() -> None:
    """Some requests a minute are stored, also of many paths, and memory is bounded."""
    store = _Store()
    recorder = RefusalRecorder(store)

    def refuse_many() -> None:
        for number in range(20_000):
            _refuse(recorder, f"/webhooks/{number}" if number % 2 else "/webhooks/same")

    assert cpu_s(refuse_many, 2.0) < 2.0
    assert len(recorder._waiting) == refusal_recorder.UNKNOWN_PER_MINUTE
    assert len(recorder._stored) <= refusal_recorder.UNKNOWN_PER_MINUTE
    assert len(recorder._logged) == 1
    await recorder.close()
    assert len(store.rows) == refusal_recorder.UNKNOWN_PER_MINUTE
    assert sum(one.path == "/webhooks/same" for one in store.rows) == refusal_recorder.SAME_PER_MINUTE


async def test_a_line_a_minute_has_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    lines: list[tuple[str, dict[str, Any]]] = []
    log = SimpleNamespace(warning=lambda event, **fields: lines.append((event, fields)))
    monkeypatch.setattr(refusal_recorder, "log", log)
    recorder = RefusalRecorder(_Store(), clock=lambda: clock[0])
    for _ in range(5):
        _refuse(recorder)
    clock[0] += 59
    recorder.log_due()
    assert [fields["count"] for _, fields in lines] == [1]
    clock[0] += 2
    recorder.log_due()
    assert [fields["count"] for _, fields in lines] == [1, 4]
    assert lines[1][1] == {
        "webhook_id": None, "reason": "unknown", "status": 404, "count": 4, "address": "192.0.2.1",
    }  # fmt: skip
    clock[0] += 61
    recorder.log_due()
    assert len(lines) == 2
    assert recorder._logged == {}


async def test_refusals_wait_for_postgres_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """While Postgres is unavailable they wait in memory, at most MAX_WAITING of them. Another failure drops a batch;
    then the recorder waits for the next refusal."""
    monkeypatch.setattr(refusal_recorder, "UNKNOWN_PER_MINUTE", 10_000)
    monkeypatch.setattr(refusal_recorder, "ALL_PER_MINUTE", 10_000)
    monkeypatch.setattr(refusal_recorder, "RETRY_S", 0.01)
    store = _Store()
    store.failure = StoreUnavailable("postgres", "down")
    recorder = RefusalRecorder(store)
    for number in range(refusal_recorder.MAX_WAITING + 50):
        _refuse(recorder, f"/webhooks/{number}")
    running = asyncio.create_task(recorder.run())
    try:
        await eventually(lambda: store.failed >= 2)
        assert store.rows == []
        assert len(recorder._waiting) == refusal_recorder.MAX_WAITING
        store.failure = ValueError("a batch that cannot be stored")
        await eventually(lambda: not recorder._has_waiting.is_set())
        assert not recorder._waiting
        store.failure = None
        _refuse(recorder, "/webhooks/later")
        await eventually(lambda: [one.path for one in store.rows] == ["/webhooks/later"])
    finally:
        running.cancel()


SECRETS = refused_content.redactor_of([TOKEN, "user:pass-word-1"])


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (f'{{"a":"{TOKEN}"}}', "application/json"),
        (f'{{"a":"x{TOKEN}x"', "application/json"),
        ('{"password":"hunter22","b":1}', "application/json"),
        ('{"a":{"api_key" : "hunter22"}}', "text/plain"),
        ('{"pass\\u0077ord":"hunter22"}', ""),
        ('{"tokens":["hunter22","hunter22"],"secret":{"x":"hunter22"}}', "application/json"),
        ('{"access_token":"hunter22', "application/json"),
        ("a=1&password=hunter22&b=2", "application/x-www-form-urlencoded"),
        ("pass%77ord=hunter22", "application/x-www-form-urlencoded"),
        ("client_secret=hunter22", ""),
        (f"payload=%7B%22a%22%3A%22{TOKEN}%22%7D", "application/x-www-form-urlencoded"),
        (
            '--b\r\nContent-Disposition: form-data; name="token"\r\n\r\nhunter22\r\n--b--',
            "multipart/form-data; boundary=b",
        ),
        ("payload=%7B%22token%22%3A%22hunter22%22%2C%22a%22%3A1%7D&b=2", "application/x-www-form-urlencoded"),
        ("say pass-word-1 now", "text/plain"),
        ('\ufeff{"password":"hunter22"}', "application/json"),
    ],
)
def test_secrets_are_hidden(body: str, content_type: str) -> None:
    for charset in ("utf-8", "utf-16"):
        shown = refused_content.shown_body(body.encode(charset), content_type, "", SECRETS)
        assert b"redacted" in shown
        for secret in (TOKEN, "hunter22", "pass-word-1"):
            assert secret.encode() not in shown


def test_a_compressed_body_is_not_shown() -> None:
    """No secret can be found in it."""
    assert refused_content.shown_body(gzip.compress(TOKEN.encode()), "application/json", "gzip", SECRETS) == b""


def test_other_content_is_shown_as_it_was_sent() -> None:
    for body in (b'{"author":"ana","code":131026,"text":"ol\xc3\xa1"}', b"a=1&b=2", b"\xff\xfe1", b"\x00\x01\xff"):
        shown = refused_content.shown_body(body, "application/json", "", SECRETS)
        assert shown == (body if body != b"\xff\xfe1" else b"")


def test_bytes_beside_a_hidden_field_of_a_form_are_kept() -> None:
    """Bytes that are not UTF-8, in JSON in a field of which another part is hidden."""
    body = b'payload={"token":"hunter22","a":"\xff"}'
    shown = refused_content.shown_body(body, "application/x-www-form-urlencoded", "", SECRETS)
    assert b"hunter22" not in shown
    assert b"%FF" in shown


def test_the_beginning_is_bounded_by_whole_characters() -> None:
    """Also a secret that the bound cuts is hidden."""
    for offset in range(4):
        shown = refused_content.shown_body(b"x" * offset + "é".encode() * 5000, "text/plain", "", SECRETS)
        assert refused_content.MAX_BYTES - 1 <= len(shown) <= refused_content.MAX_BYTES
        shown.decode()
    for cut in range(len(TOKEN)):
        body = b"y" * (refused_content.MAX_BYTES - cut) + TOKEN.encode()
        shown = refused_content.shown_body(body, "text/plain", "", SECRETS)
        assert TOKEN.encode()[:4] not in shown


def test_headers_and_parameters_are_bounded_and_hidden() -> None:
    headers = {"authorization": "Bearer x", "cookie": "a=b", "x-hub-signature-256": "sha256=1", "x-own": TOKEN,
               "x-shop-token": "t", "content-type": "text/plain", "mine": "m", "webhook-id": "w"}  # fmt: skip
    shown = refused_content.shown_headers(headers, frozenset({"mine"}), SECRETS)
    assert {name for name, value in shown.items() if value != "[redacted]"} == {"content-type", "webhook-id"}
    many = {f"x-{number}": "v" * 100 for number in range(100)}
    assert sum(len(a) + len(b) for a, b in refused_content.shown_headers(many, frozenset(), SECRETS).items()) <= 4096
    query: dict[str, str | list[str]] = {"token": "t", "hub.verify_token": "v", "a": ["1", TOKEN], "b": "2"}
    assert refused_content.shown_query(query, frozenset(), SECRETS) == {
        "token": "[redacted]", "hub.verify_token": "[redacted]", "a": ["1", "[redacted]"], "b": "2",
    }  # fmt: skip
