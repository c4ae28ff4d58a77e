"""The kind of a failure that a delivery receipt reports: the same as for the code in a provider's response.

| provider | code in front of the text          | kind                       |
|----------|------------------------------------|----------------------------|
| WhatsApp | as in the table of `whatsapp`      | as there (`window-closed`) |
| Twilio   | as in `twilio`, 30003-30006, 63024 | `recipient`                |
| Twilio   | 63016                              | `window-closed`            |
| Twilio   | 30007, 63013                       | `policy`                   |

The codes of the two providers differ. Any other failure has the kind of its receipt.
"""

import re
from typing import Final

from notifier.channels import twilio, whatsapp

_CODE: Final = re.compile(r"[0-9]{5,6}\b")

_TWILIO: Final = {
    # The handset is switched off, blocks the sender, does not exist, or is a landline; no WhatsApp user.
    **dict.fromkeys((30003, 30004, 30005, 30006, 63024), "recipient"),
    63016: "window-closed",
    # A carrier has filtered the message; it violates a policy of the channel.
    **dict.fromkeys((30007, 63013), "policy"),
}


def kind_of_receipt(text: str) -> str | None:
    """The kind of the failure with this text, None if its code is not known."""
    found = _CODE.match(text)
    if found is None:
        return None
    code = int(found[0])
    return whatsapp.kind_of_code(code) or _TWILIO.get(code) or twilio.kind_of_code(code)
