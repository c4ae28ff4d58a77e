"""What an execution stores and logs shows no secret, whatever a flow does with it."""

import base64
import json
from urllib.parse import quote

import msgspec
import pytest

from filas.crypto.redaction import HIDDEN
from tests.flow_runner.harness import Call, Harness, Response, chain, node

SECRET = 'planted "token"/with+marks & <angles>\nof two lines'
PIECES = ("planted", "marks", "angles", "of two lines")

TEMPLATES = {
    "plain": "{{ secrets.key }}",
    "json": "{{ secrets.key | json }}",
    "json-twice": "{{ secrets.key | json | json }}",
    "escape": "{{ secrets.key | escape }}",
    "url": "https://shop.example/?key={{ secrets.key | url_encode }}&n=1",
    "url-of-json": "{{ secrets.key | json | url_encode }}",
    "basic": "{% assign pair = 'user:' | append: secrets.key %}Basic {{ pair | base64_encode }}",
    "base64": "{% assign t = 'ab' | append: secrets.key %}{{ t | base64_encode }}",
    "base64-url": "{% assign t = 'a' | append: secrets.key %}{{ t | base64_url_safe_encode }}",
    "upcase": "{{ secrets.key | upcase }}",
    "squeezed": "{{ secrets.key | strip_newlines }}",
}


def _encoded(text: str) -> set[str]:
    """Parts of the secret in encodings that the plain pieces do not show."""
    whole = {base64.b64encode(f"{lead}{SECRET}".encode()).decode()[8:40] for lead in ("", "ab", "user:", "a")}
    return {part for part in whole | {part.replace("+", "-").replace("/", "_") for part in whole} if part in text}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
async def test_no_encoding_of_a_secret_is_in_the_steps(template: str, caplog: pytest.LogCaptureFixture) -> None:
    """As URL, header, body, key of a body, and in the other side's response and error."""
    harness = Harness()
    harness.secrets.values["key"] = SECRET

    def echo(call: Call) -> Response:
        return Response(500, call.body or b"", {"x-echo": quote(SECRET)})

    harness.outbound.respond = echo
    row = await harness.run(
        chain(
            node(
                "call",
                "api",
                method="POST",
                url="https://shop.example/x?q=" + ("{{ secrets.key | url_encode }}" if "http" not in template else "1"),
                headers={"X-Custom": "{{ secrets.key | url_encode }}"},
                body={"value": template, "list": [template]},
                onError="continue",
            ),
            node("done", "end", output={"text": template}),
        )
    )
    assert row.status == "succeeded"
    stored = msgspec.json.encode([list(row.steps.values()), row.output, row.error]).decode()
    assert HIDDEN in stored
    for text in (stored, json.dumps(json.loads(stored), ensure_ascii=False), caplog.text):
        assert not any(piece.lower() in text.lower() for piece in PIECES)
        assert not _encoded(text)


async def test_a_value_is_redacted_before_it_is_cut() -> None:
    """The cut of a long text, of a long list and of an error leaves no part of a secret."""
    harness = Harness()
    harness.secrets.values["key"] = secret = "x1".join(map(str, range(200)))
    row = await harness.run(
        chain(
            node("a", "end", output={"text": "y" * 1000 + "{{ secrets.key }}" + "z" * 40_000}),
        )
    )
    assert secret[:24] not in msgspec.json.encode([list(row.steps.values()), row.output]).decode()
    row = await harness.run(chain(node("wait", "delay", until="{{ secrets.key }}"), node("end", "end")))
    assert row.error is not None
    assert secret[:24] not in msgspec.json.encode([list(row.steps.values()), row.error]).decode()
