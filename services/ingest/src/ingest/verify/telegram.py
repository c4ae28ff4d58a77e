"""`telegram`: `X-Telegram-Bot-Api-Secret-Token` is the secret token of `setWebhook`.

`update_id` identifies an update; a repetition has the same id.

Source: core.telegram.org/bots/api, "setWebhook".
"""

from typing import Literal

import msgspec

from ingest.verify.credentials import CredentialsScheme, Secrets
from ingest.verify.scheme import OwnKey, Reveal, revealed


class TelegramAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"telegram","secrets":["token"]}`."""

    type: Literal["telegram"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> "TelegramScheme":
        """The check of the token."""
        return TelegramScheme("X-Telegram-Bot-Api-Secret-Token", revealed(self.secrets, reveal))


class TelegramScheme(CredentialsScheme):
    """Checks the secret token."""

    demands_json = True
    own_key: OwnKey = "unsigned"
