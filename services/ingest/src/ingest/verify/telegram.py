"""`telegram`: the token of `setWebhook`, as it is, in `X-Telegram-Bot-Api-Secret-Token`.

core.telegram.org/bots/api, "setWebhook". `update_id` names an update, however often it is sent.
"""

from typing import Literal

import msgspec

from ingest.verify.credentials import CredentialsScheme, Secrets
from ingest.verify.scheme import Reveal, revealed


class TelegramAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"telegram","secrets":["token"]}`."""

    type: Literal["telegram"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> "TelegramScheme":
        """The check of the token."""
        return TelegramScheme("X-Telegram-Bot-Api-Secret-Token", revealed(self.secrets, reveal))


class TelegramScheme(CredentialsScheme):
    """Checks the token that Telegram repeats."""

    demands_json = True
