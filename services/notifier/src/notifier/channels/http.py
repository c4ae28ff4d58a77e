"""The channel `http`: sends each message as a POST to the user's address, signed according to Standard Webhooks."""

import time
from typing import Any

import msgspec

from filas.contract.storable_text import json_bytes
from filas.crypto.standard_webhooks import InvalidSecret, decode_secret, signed_headers
from notifier.channels.channel import (
    Delivered,
    InvalidConfiguration,
    Outbound,
    OutgoingMessage,
    PermanentFailure,
    Result,
    TemporaryFailure,
    Tools,
    configuration,
)
from notifier.channels.provider_call import Caller, by_status

SECRET_FIELDS = ("secret",)

_OWN_FIELDS = frozenset({"id", "to", "executionId"})


class HttpConfig(msgspec.Struct, frozen=True):
    """`secret` may be a list during a rotation: the message then has a signature for each secret."""

    url: str
    secret: str | list[str]


class HttpChannel:
    """Posts `{"id":…,"to":…,"type":"text","text":…,"executionId":…}` to the configured address.

    2xx means delivered. 429 and 503 pause the channel, until `Retry-After` if it is given. Other 5xx are tried again.
    Every other status is final.
    """

    def __init__(self, config: HttpConfig, outbound: Outbound) -> None:
        self._url = config.url
        self._secrets = [config.secret] if isinstance(config.secret, str) else config.secret
        self._caller = Caller(outbound, self._secrets)
        if not self._secrets:
            raise InvalidConfiguration("`secret` is empty")
        try:
            for secret in self._secrets:
                decode_secret(secret)
        except InvalidSecret as error:
            raise InvalidConfiguration(f"`secret`: {error}") from None

    async def deliver(self, message: OutgoingMessage) -> Result:
        """See `Channel.deliver`."""
        body = json_bytes(_document(message))
        headers = signed_headers(self._secrets, str(message.id), int(time.time()), body)
        headers |= {"Content-Type": "application/json", "Idempotency-Key": message.idempotency_key}
        answer = await self._caller.post(self._url, headers, body)
        if isinstance(answer, TemporaryFailure | PermanentFailure):
            return answer
        if 200 <= answer.status < 300:
            return Delivered(status_code=answer.status)
        return by_status(answer, self._caller.answered(answer, "the recipient"))


def build(config: dict[str, Any], tools: Tools) -> HttpChannel:
    """Returns the channel for `config`, whose secrets are decrypted. Raises InvalidConfiguration."""
    return HttpChannel(configuration(config, HttpConfig), tools.outbound)


def _document(message: OutgoingMessage) -> dict[str, Any]:
    content = {name: value for name, value in message.content.items() if name not in _OWN_FIELDS}
    execution = str(message.execution_id) if message.execution_id else None
    return {"id": str(message.id), "to": message.to, **content, "executionId": execution}
