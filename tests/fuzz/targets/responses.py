"""Responses of the servers that Filas calls: an output that can be stored, or NodeFailure; and one line of explanation.

Input: the status and content type, the body.
"""

from datetime import UTC, datetime

import msgspec

from filas.contract import bounded_json
from filas.contract.storable_text import json_bytes
from filas.decoding.json_body import decode_json
from filas.outbound.outbound_response import OutboundResponse
from flow_runner.engine.node_protocol import NodeFailure
from flow_runner.nodes.response_body import Reading, output_of
from notifier.channels import provider_explanation
from tests.fuzz.target import first_line

WORDS = (
    "200 application/json", "404 text/html; charset=utf-8", "503 ", "429 application/problem+json", "text/xml",
    "<title>", '<?xml version="1.0" encoding="iso-8859-1"?>', "{", "[", '"message":', '"error":', '"detail":',
    "\ufeff", "utf-16",
)  # fmt: skip
NOW = datetime(2026, 11, 27, tzinfo=UTC)
READINGS: tuple[Reading, ...] = ("auto", "lenient", "text")


def fuzz(data: bytes) -> None:
    """Reads the response in every way."""
    line, body = first_line(data)
    status, _, content_type = line.partition(" ")
    code = int(status) if status.isascii() and status.isdigit() and len(status) == 3 else 200
    headers = {"Content-Type": content_type.encode("utf-8", "replace").decode(), "Retry-After": line[:40]}
    response = OutboundResponse(status=code, headers=headers, body=body, url="https://a.example/")
    for reading in READINGS:
        try:
            json_bytes(output_of(response, (404,), NOW, reading))
        except NodeFailure as failure:
            json_bytes([failure.outcome.message, failure.outcome.detail, failure.outcome.output])
    try:
        document, _ = decode_json(body)
    except bounded_json.InvalidJson:
        document = body.decode("utf-8", "replace")
    explained = provider_explanation.explained("refused", [document, [document]], str)
    msgspec.json.encode(explained)
    assert len(explained) < 100 * 1024
    assert "\n" not in explained
