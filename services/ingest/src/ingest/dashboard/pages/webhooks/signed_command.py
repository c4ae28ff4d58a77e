"""The command that sends a test request to a webhook, with the proof that its authentication demands.

It is for `sh`, with `curl`, `openssl` and `od`. The secret is in the variable VARIABLE, so the page contains
none, and the command can be sent to a colleague. The signature and the time are computed when the command runs.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from filas.contract.storable_text import json_bytes
from ingest.dashboard.pages.webhooks.sample_requests import sample
from ingest.verify.signed_text import PLACEHOLDER

VARIABLE: Final = "FILAS_WEBHOOK_SECRET"
"""Of the shell: it holds the secret."""
_NUMBER: Final = "@NUMBER@"
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Command:
    """The lines before the call, and the parts of the call. Texts in double quotes may use the shell's variables."""

    url: str
    body: str
    content_type: str = _JSON
    lines: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    query: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Returns the commands, one a line."""
        address = shlex.quote(self.url)
        if self.query:
            address += '"?' + "&".join(self.query) + '"'
        parts = [f"curl {address}", f"-H 'Content-Type: {self.content_type}'", *(f'-H "{one}"' for one in self.headers)]
        parts += [*self.options, '--data-binary "$body"']
        return "\n".join(["number=$(date +%s)", f"body={self.body}", *self.lines, " \\\n  ".join(parts)])


def signed_command(auth: Mapping[str, Any], url: str, provider: str) -> str | None:
    """Returns the command for a webhook with this authentication at `url`. None if only the sender can sign: its
    signature needs a private key, or is a part of the text that it signs."""
    kind = str(auth.get("type", "none"))
    command = Command(url, _quoted(sample(provider, _NUMBER)))
    prove = _PROOFS.get(kind)
    if prove is None:
        return None
    return command.text() if prove(command, auth) else None


def _quoted(document: Any) -> str:
    """A JSON document as a word of the shell, with the number of the request in it."""
    text = shlex.quote(json_bytes(document).decode("utf-8", "replace"))
    # An id that is nothing but the number is a number in JSON.
    return text.replace(f'"{_NUMBER}"', _NUMBER).replace(_NUMBER, "'\"$number\"'")


def _digest(text: str, *, algorithm: str = "sha256", encoding: str = "hex", key: str = f'-hmac "${VARIABLE}"') -> str:
    """The line that sets `signature` to the HMAC of a text, which may use variables."""
    end = "sed 's/.* //'" if encoding == "hex" else "openssl base64 -A"
    binary = "" if encoding == "hex" else " -binary"
    return f'signature=$(printf %s "{text}" | openssl dgst -{algorithm} {key}{binary} | {end})'


def _none(_command: Command, _auth: Mapping[str, Any]) -> bool:
    return True


def _basic(command: Command, _auth: Mapping[str, Any]) -> bool:
    command.options.append(f'-u "${VARIABLE}"')
    return True


def _value(command: Command, auth: Mapping[str, Any], header: str, value: str) -> bool:
    """A secret at the place that the definition names."""
    place, name = auth.get("in", "header"), auth.get("name")
    if place == "header" or not name:
        command.headers.append(f"{_inside(name or header)}: {f'${VARIABLE}' if name else value}")
        return True
    command.lines.append(f"secret=$(printf %s \"${VARIABLE}\" | od -An -v -tx1 | tr -d ' \\n' | sed 's/../%&/g')")
    if place == "query":
        command.query.append(f"{_encoded(name)}=$secret")
    else:
        command.content_type = _FORM
        command.lines.append(f'body="{_encoded(name)}=$secret&id=test-$number&from=%2B5511999990000&text=oi"')
    return True


def _bearer(command: Command, auth: Mapping[str, Any]) -> bool:
    return _value(command, auth, "Authorization", f"Bearer ${VARIABLE}")


def _api_key(command: Command, auth: Mapping[str, Any]) -> bool:
    return _value(command, auth, str(auth.get("header") or "X-Api-Key"), f"${VARIABLE}")


def _header(name: str) -> Any:
    def prove(command: Command, _auth: Mapping[str, Any]) -> bool:
        command.headers.append(f"{name}: ${VARIABLE}")
        return True

    return prove


def _hub(command: Command, auth: Mapping[str, Any]) -> bool:
    command.lines.append(_digest("$body"))
    command.headers.append("X-Hub-Signature-256: sha256=$signature")
    if auth.get("type") == "github":
        command.headers += ["X-GitHub-Event: pull_request", "X-GitHub-Delivery: test-$number"]
    return True


def _slack(command: Command, _auth: Mapping[str, Any]) -> bool:
    command.lines.append(_digest("v0:$number:$body"))
    command.headers += ["X-Slack-Request-Timestamp: $number", "X-Slack-Signature: v0=$signature"]
    return True


def _stripe(command: Command, _auth: Mapping[str, Any]) -> bool:
    command.lines.append(_digest("$number.$body"))
    command.headers.append("Stripe-Signature: t=$number,v1=$signature")
    return True


def _shopify(command: Command, _auth: Mapping[str, Any]) -> bool:
    command.lines.append(_digest("$body", encoding="base64"))
    command.headers += [
        "X-Shopify-Topic: orders/paid", "X-Shopify-Webhook-Id: test-$number", "X-Shopify-Hmac-Sha256: $signature",
    ]  # fmt: skip
    return True


def _standard(command: Command, _auth: Mapping[str, Any]) -> bool:
    """With a secret `whsec_…`. Only the sender has the private key that belongs to a `whpk_…`."""
    key = f"key=$(printf %s \"${{{VARIABLE}#whsec_}}\" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \\n')"
    signed = _digest("test-$number.$number.$body", encoding="base64", key='-mac HMAC -macopt hexkey:"$key"')
    command.lines += [key, signed]
    command.headers += [
        "webhook-id: test-$number", "webhook-timestamp: $number", "webhook-signature: v1,$signature",
    ]  # fmt: skip
    return True


def _twilio(command: Command, auth: Mapping[str, Any]) -> bool:
    """The address that is configured at Twilio, and the fields of the form in the order of their names."""
    command.content_type = _FORM
    command.body = '"Body=oi&From=%2B5511999990000&MessageSid=SM$number&To=%2B15005550006"'
    called = _inside(str(auth.get("url") or command.url))
    fields = "BodyoiFrom+5511999990000MessageSidSM${number}To+15005550006"
    command.lines.append(_digest(called + fields, algorithm="sha1", encoding="base64"))
    command.headers.append("X-Twilio-Signature: $signature")
    return True


def _mercadopago(command: Command, _auth: Mapping[str, Any]) -> bool:
    command.query.append("data.id=123456")
    command.lines.append(_digest("id:123456;request-id:test-$number;ts:$number;"))
    command.headers += ["X-Request-Id: test-$number", "X-Signature: ts=$number,v1=$signature"]
    return True


def _mailgun(command: Command, _auth: Mapping[str, Any]) -> bool:
    event = '"event-data":{"id":"test-\'"$number"\'","event":"delivered"}'
    proof = '"timestamp":"\'"$number"\'","token":"test-\'"$number"\'","signature":"\'"$signature"\'"'
    command.lines += [_digest("${number}test-$number"), f"body='{{\"signature\":{{{proof}}},{event}}}'"]
    return True


def _hubspot(command: Command, auth: Mapping[str, Any]) -> bool:
    called = _inside(str(auth.get("url") or command.url))
    command.lines.append(_digest(f"POST{called}$body${{number}}000", encoding="base64"))
    command.headers += ["X-HubSpot-Request-Timestamp: ${number}000", "X-HubSpot-Signature-v3: $signature"]
    return True


def _kiwify(command: Command, _auth: Mapping[str, Any]) -> bool:
    command.lines.append(_digest("$body", algorithm="sha1"))
    command.query.append("signature=$signature")
    return True


def _hmac(command: Command, auth: Mapping[str, Any]) -> bool:
    """As the definition states. The signed parts of the request are sent with it."""
    place = auth.get("signature") or {
        "name": auth.get("header", ""),
        "pattern": f"{auth.get('prefix', '')}{{signature}}",
    }
    if place.get("in", "header") == "form":
        return False
    signed: list[str] = []
    document: dict[str, Any] = {}
    for index, part in enumerate(PLACEHOLDER.split(str(auth.get("template", "{body}")))):
        signed.append(_inside(part) if index % 2 == 0 else _signed_part(command, document, part))
    if document:
        command.body = _quoted(document | {"id": f"test-{_NUMBER}", "text": "oi"})
    command.lines.append(
        _digest("".join(signed), algorithm=auth.get("algorithm", "sha256"), encoding=auth.get("encoding", "hex"))
    )
    if auth.get("timestampHeader"):
        command.headers.append(f"{auth['timestampHeader']}: $number")
    pattern = _inside(str(place.get("pattern") or "{signature}"))
    written = pattern.replace("{timestamp}", "${number}").replace("{signature}", "${signature}")
    if place.get("in", "header") == "header":
        command.headers.append(f"{_inside(str(place['name']))}: {written}")
        return True
    command.lines.append(f"signature=$(printf %s \"{written}\" | od -An -v -tx1 | tr -d ' \\n' | sed 's/../%&/g')")
    command.query.append(f"{_encoded(str(place['name']))}=$signature")
    return True


def _signed_part(command: Command, document: dict[str, Any], part: str) -> str:
    """What is signed for a placeholder. A header, parameter or field that is signed becomes a part of the request."""
    kind, _, name = part.partition(":")
    if kind == "body":
        return "${body}"
    if kind == "timestamp":
        return "${number}"
    if kind == "url":
        # The signed address has the query, which may have the signature.
        return _inside(command.url)
    if kind == "header":
        command.headers.append(f"{_inside(name)}: test")
    elif kind == "query":
        command.query.append(f"{_encoded(name)}=test")
    else:
        _set_at(document, name.split(".") if kind == "json" else [name], "test")
    return "test"


def _set_at(document: dict[str, Any], path: list[str], value: str) -> None:
    for name in path[:-1]:
        document = document.setdefault(name, {})
    document[path[-1]] = value


def _inside(text: str) -> str:
    """A text within double quotes."""
    return "".join(f"\\{one}" if one in '"$`\\' else one for one in text)


def _encoded(name: str) -> str:
    return "".join(one if one.isascii() and (one.isalnum() or one in "-_.~") else _escaped(one) for one in name)


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))


_PROOFS: Final[dict[str, Any]] = {
    "none": _none,
    "basic": _basic,
    "pagarme": _basic,
    "bearer": _bearer,
    "api-key": _api_key,
    "telegram": _header("X-Telegram-Bot-Api-Secret-Token"),
    "asaas": _header("asaas-access-token"),
    "hotmart": _header("X-HOTMART-HOTTOK"),
    "meta": _hub,
    "github": _hub,
    "slack": _slack,
    "stripe": _stripe,
    "shopify": _shopify,
    "standard-webhooks": _standard,
    "twilio": _twilio,
    "mercadopago": _mercadopago,
    "mailgun": _mailgun,
    "hubspot": _hubspot,
    "kiwify": _kiwify,
    "hmac": _hmac,
}
"""`sendgrid` is missing: its signature needs SendGrid's private key."""
