"""Texts that Filas signs, encrypts or sends along: only its own are accepted, and others are refused without an error.

Input: a text. It is read as each of them, and made into each of them.
"""

from datetime import UTC, datetime
from uuid import UUID

from filas.crypto.redaction import Redactor
from filas.crypto.resume_tokens import ResumeTokens
from filas.crypto.secret_box import SecretBox
from filas.crypto.signed_values import Signer
from filas.crypto.standard_webhooks import InvalidSecret, decode_secret
from filas.errors import SecretUnreadable
from filas.outbound.retry_after import retry_after_s
from filas.tracing import traceparent
from ingest.receive import refused_content
from tests.fuzz.target import first_line, text_of, unicode_of

WORDS = (
    "enc:v1:", "env:", "whsec_", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "Fri, 27 Nov 2026 12:00:00 GMT", "120", ".", "password=", '"token":"', "Bearer ", "secret",
    "multipart/form-data; boundary=x", "--x\r\n", "name=",
)  # fmt: skip
KEY = "k" * 32
NOW = datetime(2026, 11, 27, tzinfo=UTC)
EXECUTION, CALLBACK = UUID(int=1), UUID(int=2)
_SIGNER, _TOKENS, _BOX = Signer(KEY, "fuzz"), ResumeTokens(KEY), SecretBox(KEY)
_REDACTOR = refused_content.redactor_of(["user:hunter2-hunter2"])


def fuzz(data: bytes) -> None:
    """Reads the text as a token, a secret, a header, and as the body of a refused request."""
    text = unicode_of(data)
    signed = _SIGNER.verify(text)
    assert signed is None or _SIGNER.sign(signed) == text
    content = data[:200] or b"0"  # an empty content is never signed
    assert _SIGNER.verify(_SIGNER.sign(content)) == content
    assert _TOKENS.read(text) in (None, (EXECUTION, CALLBACK))
    assert _TOKENS.read(_TOKENS.make(EXECUTION, CALLBACK)) == (EXECUTION, CALLBACK)
    for read in (_BOX.open, _BOX.reveal):
        try:
            read(text)
        except SecretUnreadable:
            pass
    try:
        decode_secret(text)
    except InvalidSecret:
        pass
    if text:
        assert _BOX.open(_BOX.seal(text)) == text
    wait = retry_after_s(text_of(data), NOW)
    assert wait is None or wait >= 0
    context = traceparent.parse(text)
    assert context is None or traceparent.parse(traceparent.format_context(context)) == context
    _check_refused(data)


def _check_refused(data: bytes) -> None:
    """The stored beginning of a refused body is bounded and has no secret of the webhook."""
    content_type, body = first_line(data)
    shown = refused_content.shown_body(body, content_type, "", _REDACTOR)
    assert len(shown) <= refused_content.MAX_BYTES
    with_secret = body[:1000] + b" hunter2-hunter2 " + body[1000:]
    assert b"hunter2-hunter2" not in refused_content.shown_body(with_secret, content_type, "", _REDACTOR)
    text = unicode_of(data)
    refused_content.is_secret_name(text[:200])
    headers = {"x-a": text_of(body).encode("utf-8", "replace").decode()}
    refused_content.shown_headers(headers, frozenset(), _REDACTOR)
    refused_content.shown_query(dict(headers), frozenset(), Redactor())
