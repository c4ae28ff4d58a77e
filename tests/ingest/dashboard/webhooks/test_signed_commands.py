"""The command of a webhook's page: a shell runs it, and the public listener accepts the request."""

import asyncio
import os
import shutil
import subprocess
from typing import Any

import pytest

from ingest.dashboard.pages.webhooks.provider_presets import PRESETS, preset_of
from ingest.dashboard.pages.webhooks.signed_command import VARIABLE, signed_command
from ingest.verify.auth_types import CONFIGURATIONS
from tests.ingest.serving import Serving, serving, webhook

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRET = "a b$`c\"d'e\\f%+&=/é"
"""A secret in which nothing may be read by the shell, or be part of an address."""

CASES: dict[str, tuple[dict[str, Any], str]] = {
    one.auth_type: ({"type": one.auth_type}, SECRET) for one in PRESETS if one.auth_type not in ("sendgrid", "hmac")
}
CASES |= {
    "none": ({"type": "none"}, ""),
    "basic": ({"type": "basic"}, "user:pa$s word"),
    "pagarme": ({"type": "pagarme"}, "user:pa$s word"),
    "standard-webhooks": ({"type": "standard-webhooks"}, WHSEC),
    "bearer": ({"type": "bearer"}, "token-1"),
    "bearer in a header": ({"type": "bearer", "name": "X-Token"}, "token-1"),
    "bearer in the query": ({"type": "bearer", "in": "query", "name": "access token"}, SECRET),
    "bearer in a field": ({"type": "bearer", "in": "form", "name": "token"}, SECRET),
    "api-key with a header": ({"type": "api-key", "header": "X-Other"}, "key-1"),
    "api-key in the query": ({"type": "api-key", "in": "query", "name": "key"}, SECRET),
    "telegram": ({"type": "telegram"}, "token_1"),
    "asaas": ({"type": "asaas"}, "token_1"),
    "hotmart": ({"type": "hotmart"}, "token_1"),
    "api-key": ({"type": "api-key"}, "key-1"),
    "hmac": ({"type": "hmac", "header": "X-Signature", "prefix": "sha256="}, SECRET),
    "hmac with a time": (
        {
            "type": "hmac",
            "header": "X-Signature",
            "template": "{timestamp}.{body}",
            "timestampHeader": "X-Time",
            "toleranceSeconds": 300,
            "algorithm": "sha512",
            "encoding": "base64",
        },
        SECRET,
    ),
    "hmac with a pattern": (
        {
            "type": "hmac",
            "signature": {"name": "X-Signature", "pattern": "ts={timestamp},v1={signature}"},
            "template": "$v0:{timestamp}:{body}:{header:X-Other}:{json:data.id}",
            "toleranceSeconds": 300,
        },
        SECRET,
    ),
    "hmac in the query": (
        {
            "type": "hmac",
            "signature": {"in": "query", "name": "sig", "pattern": "{signature}"},
            "algorithm": "sha1",
            "encoding": "base64",
            "template": "{query:shop}{body}{form:name}",
        },
        SECRET,
    ),
}


def run(command: str, secret: str) -> str:
    """What the shell prints."""
    environment = {"PATH": os.environ["PATH"], VARIABLE: secret, "no_proxy": "*"}
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def answers(app: Serving, name: str, secret: str) -> tuple[str, str]:
    """The answers to the command with the secret, and with another one."""
    auth, _ = CASES[name]
    path = name.replace(" ", "-")
    url = f"http://127.0.0.1:{app.port}/webhooks/{path}"
    stored = {**auth, **({} if auth["type"] == "none" else {"secrets": [secret]})}
    await app.store_webhooks(webhook(path, auth=stored))
    command = signed_command({**stored, "secrets": ["***"]}, url, preset_of(None, stored).name)
    assert command is not None
    assert not secret or secret not in command
    wrong = WHSEC.replace("M", "N") if secret == WHSEC else "wrong:secret"
    return await asyncio.to_thread(run, command, secret), await asyncio.to_thread(run, command, wrong)


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("openssl") is None, reason="needs curl and openssl")
async def test_the_command_of_every_authentication_is_accepted(redis_url: str, postgres_dsn: str) -> None:
    """With the secret; with another one it is refused. The command itself contains no secret."""
    found = {}
    async with serving(redis_url, postgres_dsn) as app:
        for name, (_, secret) in CASES.items():
            found[name] = await answers(app, name, secret)
    accepted = {name: right for name, (right, _) in found.items()}
    is_received = {
        name: '"status":"received"' in text or (name == "twilio" and "<Response" in text)
        for name, text in accepted.items()
    }
    assert all(is_received.values()), {name: accepted[name] for name, right in is_received.items() if not right}
    refused = {name: wrong for name, (_, wrong) in found.items() if name != "none"}
    assert all('"status":401' in text for text in refused.values()), refused


def test_every_authentication_has_a_command_or_the_reason_why_not() -> None:
    """Only SendGrid has the key with which it signs. A signature in the body that it signs cannot be written."""
    without = {kind for kind in CONFIGURATIONS if signed_command({"type": kind}, "http://a/b", "open") is None}
    assert without == {"sendgrid"}
    in_body = {"type": "hmac", "signature": {"in": "form", "name": "sig"}}
    assert signed_command(in_body, "http://a/b", "open") is None


def test_every_authentication_has_a_preset() -> None:
    """So that each can be chosen by the name of its sender."""
    assert {one.auth_type for one in PRESETS} == set(CONFIGURATIONS)
