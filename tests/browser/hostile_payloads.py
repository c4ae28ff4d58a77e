"""Payloads that attack their readers, or whose values a browser changes."""

import json
from typing import NamedTuple

from tests.browser.clinic import Clinic
from tests.browser.clinic_flows import BEARER

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>"
BREAKS_OUT = "\"'><a href=javascript:alert(4)>x</a></textarea></script></pre>{{7*7}}{% raw %}${7*7}"
RIGHT_TO_LEFT = "fatura\u202efdp.exe\u2066 مرحبا \u2069\u200f"
BIGGEST = 2**63 - 1
TOO_BIG = 12345678901234567890123
MIB = 1 << 20


class Payload(NamedTuple):
    """`shown`: texts that a page with the payload shows as they are."""

    body: bytes
    shown: tuple[str, ...]


def _text(phone: str, text: str, **more: object) -> bytes:
    return json.dumps({"telefone": phone, "texto": text, **more}, ensure_ascii=False).encode()


PAYLOADS = {
    "markup": Payload(
        _text("5511900000001", MARKUP, nome=BREAKS_OUT, **{MARKUP: "a key"}), (MARKUP, "javascript:alert(4)", "{{7*7}}")
    ),
    "right-to-left": Payload(_text("5511900000002", RIGHT_TO_LEFT, nome=RIGHT_TO_LEFT), ("مرحبا",)),
    "lone-surrogate": Payload(
        b'{"telefone": "5511900000003", "texto": "a\\ud800b", "nome": "\\udfff"}', ("5511900000003",)
    ),
    "64-bit": Payload(_text("5511900000004", "oi", pedido=BIGGEST, lote=TOO_BIG), (str(BIGGEST), str(TOO_BIG))),
    "10000-keys": Payload(
        _text("5511900000006", "oi", **{f"campo{number}": number for number in range(10_000)}), ("campo1",)
    ),
    "1-mib": Payload(_text("5511900000005", "oi", foto="A" * (MIB - 200)), ("5511900000005",)),
    "deep": Payload(_text("5511900000007", "oi", dentro=json.loads("[" * 60 + "]" * 60)), ("5511900000007",)),
}


async def post(clinic: Clinic, name: str) -> str:
    """Posts a payload to the clinic; returns the id of its event."""
    status, answer = await clinic.pipeline.webhook("marcar-consulta", PAYLOADS[name].body, BEARER)
    assert status == 200, answer
    event_id: str = answer["eventId"]
    return event_id
