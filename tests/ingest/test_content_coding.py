"""Compressed bodies: decoded within the webhook's limit, stored as received, signed as sent or as before."""

import base64
import contextlib
import gzip
import hmac
import json
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoding.content_coding import (
    MAX_MEMBERS,
    DecodedTooLarge,
    InvalidCoding,
    UnsupportedCoding,
    decoded_body,
)
from ingest.event.event_jobs import read_body
from tests.ingest.serving import BOX, serving, webhook
from tests.ingest.test_meta_bodies import text_message, whatsapp
from tests.ingest.verify.test_signatures import meta_signature

MIB = 2**20


def raw_deflate(body: bytes) -> bytes:
    """Without the wrapper of zlib, as some senders send it."""
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(body) + coder.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "upper case": ("GZIP", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.compress),
}
ANY_CODING = pytest.mark.parametrize(("header", "encode"), ENCODERS.values(), ids=ENCODERS)


@ANY_CODING
def test_a_body_is_decoded(header: str, encode: Callable[[bytes], bytes]) -> None:
    for body in (b"", b"{}", b"oi" * 100_000):
        assert decoded_body(header, encode(body), MIB) == body
    assert decoded_body(header, b"", MIB) == b""


@ANY_CODING
def test_the_decoded_size_is_bounded_while_decoding(header: str, encode: Callable[[bytes], bytes]) -> None:
    """A bomb of 64 MiB is refused after its first MiB."""
    assert len(decoded_body(header, encode(b"\0" * MIB), MIB)) == MIB
    for size in (MIB + 1, 64 * MIB):
        with pytest.raises(DecodedTooLarge):
            decoded_body(header, encode(b"\0" * size), MIB)


@ANY_CODING
def test_an_incomplete_or_wrong_body_is_an_error(header: str, encode: Callable[[bytes], bytes]) -> None:
    coded = encode(b'{"text":"oi"}' * 100)
    for body in (coded[: len(coded) // 2], coded[:-1], b"{}", b"\xff" * 50):
        with pytest.raises(InvalidCoding):
            decoded_body(header, body, MIB)


def test_two_codings_are_undone_in_reverse_order() -> None:
    assert decoded_body("deflate, gzip", gzip.compress(zlib.compress(b"oi")), MIB) == b"oi"
    assert decoded_body("identity, gzip", gzip.compress(b"oi"), MIB) == b"oi"
    with pytest.raises(UnsupportedCoding, match="3 content codings"):
        decoded_body("gzip, gzip, gzip", b"x", MIB)
    with pytest.raises(UnsupportedCoding, match="'compress'"):
        decoded_body("compress", b"x", MIB)
    with pytest.raises(DecodedTooLarge):
        decoded_body("gzip, gzip", gzip.compress(gzip.compress(b"\0" * 300 * MIB)), MIB)


def test_several_members_are_one_body() -> None:
    """As `cat a.gz b.gz` makes them. Their number is bounded."""
    assert decoded_body("gzip", gzip.compress(b"a") + gzip.compress(b"b") + b"\0\0", MIB) == b"ab"
    assert decoded_body("zstd", zstandard.compress(b"a") + zstandard.compress(b"b"), MIB) == b"ab"
    for header, one in (("gzip", gzip.compress(b"")), ("zstd", zstandard.compress(b""))):
        with pytest.raises(InvalidCoding):
            decoded_body(header, one * (MAX_MEMBERS + 1), MIB)


@given(header=st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br"]), body=st.binary(max_size=200))
def test_any_body_is_decoded_or_refused(header: str, body: bytes) -> None:
    with contextlib.suppress(InvalidCoding, DecodedTooLarge):
        assert len(decoded_body(header, body, 1000)) <= 1000


@ANY_CODING
async def test_a_compressed_webhook_is_accepted_and_stored_as_received(
    redis_url: str, postgres_dsn: str, header: str, encode: Callable[[bytes], bytes]
) -> None:
    """Its job has the document, and so has the job that the relay makes from the row."""
    raw = encode(b'{"from":"5511","text":"oi"}')
    async with serving(redis_url, postgres_dsn, webhook("orders")) as app:
        status, answer = await app.post("orders", raw, {"Content-Encoding": header})
        assert status == 200, answer
        (job,) = await app.jobs()
        assert job["body"] == {"from": "5511", "text": "oi"}
        (row,) = await app.events.unfinished(0, 10)
        assert row.body == raw
        assert read_body(row).document == job["body"]


async def test_a_compressed_batch_is_stored_in_parts(redis_url: str, postgres_dsn: str) -> None:
    """Each part is plain JSON. The signature is over the bytes as they were sent."""
    meta = webhook("whatsapp", auth={"type": "meta", "secrets": [BOX.seal("app secret")]})
    body = json.dumps(whatsapp(text_message("5511", "a", "w1"), text_message("5522", "b", "w2"))).encode()
    raw = gzip.compress(body)
    async with serving(redis_url, postgres_dsn, meta) as app:
        status, _ = await app.post("whatsapp", raw, {**meta_signature(raw), "Content-Encoding": "gzip"})
        assert status == 200
        rows = await app.events.unfinished(0, 10)
        documents = [read_body(row).document for row in rows]
        ids = [document["entry"][0]["changes"][0]["value"]["messages"][0]["id"] for document in documents]
        assert sorted(ids) == ["w1", "w2"]


async def test_a_sender_may_sign_before_it_compresses(redis_url: str, postgres_dsn: str) -> None:
    auth = {"type": "meta", "secrets": [BOX.seal("app secret")]}
    before, after = webhook("before", auth=auth, signed_body="decoded"), webhook("after", auth=auth)
    body = json.dumps(whatsapp(text_message("5511", "a", "w1"))).encode()
    signed = {**meta_signature(body), "Content-Encoding": "gzip"}
    async with serving(redis_url, postgres_dsn, before, after) as app:
        assert (await app.post("before", gzip.compress(body), signed))[0] == 200
        assert (await app.post("after", gzip.compress(body), signed))[0] == 401


def twilio_signature(fields: str) -> dict[str, str]:
    """Of the address, followed by the fields."""
    digest = hmac.digest(b"token", f"https://filas.example/in{fields}".encode(), "sha1")
    return {"X-Twilio-Signature": base64.b64encode(digest).decode()}


JSON, FORM = "application/json", "application/x-www-form-urlencoded"
TOKEN = [BOX.seal("token")]
SIGNED = hmac.digest(b"token", b"17t", "sha256").hex()
HMAC: dict[str, object] = {"type": "hmac", "secrets": TOKEN, "coversBody": False}
FIELDS: dict[str, tuple[dict[str, object], str, str, dict[str, str]]] = {
    "api-key-json": ({"type": "api-key", "in": "form", "name": "k", "secrets": TOKEN}, JSON, '{"k":"token"}', {}),
    "api-key-form": ({"type": "api-key", "in": "form", "name": "k", "secrets": TOKEN}, FORM, "k=token", {}),
    "bearer": ({"type": "bearer", "in": "form", "name": "k", "secrets": TOKEN}, JSON, '{"k":"token"}', {}),
    "hotmart": ({"type": "hotmart", "secrets": TOKEN}, JSON, '{"hottok":"token"}', {}),
    "mailgun": (
        {"type": "mailgun", "secrets": TOKEN},
        JSON,
        f'{{"signature":{{"timestamp":"17","token":"t","signature":"{SIGNED}"}}}}',
        {},
    ),
    "hmac-json": (
        {**HMAC, "header": "X", "template": "{json:a.b}"},
        JSON,
        '{"a":{"b":"17t"}}',
        {"X": SIGNED},
    ),
    "hmac-form": (
        {**HMAC, "signature": {"in": "form", "name": "sig"}, "template": "{form:a}"},
        FORM,
        f"a=17t&sig={SIGNED}",
        {},
    ),
    "twilio": (
        {"type": "twilio", "secrets": TOKEN, "url": "https://filas.example/in"},
        FORM,
        "From=%2B55&MessageSid=S1&Body=oi",
        twilio_signature("BodyoiFrom+55MessageSidS1"),
    ),
}


@pytest.mark.parametrize(("auth", "content_type", "body", "headers"), FIELDS.values(), ids=FIELDS)
async def test_a_check_of_a_field_reads_the_decoded_body(
    redis_url: str,
    postgres_dsn: str,
    auth: dict[str, object],
    content_type: str,
    body: str,
    headers: dict[str, str],
) -> None:
    """A compressed body was answered with 401. The field is the one that the flow sees, also after a BOM."""
    async with serving(redis_url, postgres_dsn, webhook("keyed", auth=auth)) as app:

        async def status(data: bytes, coding: dict[str, str]) -> int:
            sent = {**headers, "Content-Type": content_type, **coding}
            async with app.request("POST", "keyed", data=data, headers=sent) as answer:
                return int(answer.status)

        coded = {"Content-Encoding": "gzip"}
        assert await status(body.encode(), {}) == 200
        assert await status(gzip.compress(body.encode()), coded) == 200
        if content_type == JSON:
            assert await status(b"\xef\xbb\xbf" + body.encode(), {}) == 200
        assert await status(gzip.compress(body.translate(str.maketrans("t5", "w6")).encode()), coded) == 401


@pytest.mark.parametrize(
    ("header", "body", "status", "words"),
    [
        ("compress", b"x", 415, "compress"),
        ("gzip, br, gzip", b"x", 415, "3 content codings"),
        ("gzip", b"{}", 415, "not valid gzip"),
        ("gzip", gzip.compress(b" " * 2 * MIB), 413, "decoded body exceeds 1048576 bytes"),
    ],
)
async def test_other_codings_are_refused_by_name(
    redis_url: str, postgres_dsn: str, header: str, body: bytes, status: int, words: str
) -> None:
    async with serving(redis_url, postgres_dsn, webhook("orders")) as app:
        refused, problem = await app.post("orders", body, {"Content-Encoding": header})
        assert refused == status
        assert words in problem["detail"]
