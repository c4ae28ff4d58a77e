"""The limits of each channel type: what one message may contain.

They are checked when a flow is published (if the channel is known), in test runs, and when a message is sent. A text
that is too long is split (see `content_parts`); anything else beyond a limit is refused with an error that names the
limit. Lengths are in characters, unless the limit is in bytes (of UTF-8).

| type       | sources                                                                                               |
|------------|-------------------------------------------------------------------------------------------------------|
| `whatsapp` | Meta, "Text messages" (4096); "Interactive reply buttons messages" (3 buttons, title 20 and not twice |
|            | in a message, id 256, body 1024, header and footer 60); "Interactive list messages" (10 rows and 10   |
|            | sections, row title 24, description 72, id 200, section title 24, button 20, body 4096); "Interactive |
|            | call-to-action URL button messages" (one button, 20); "Image messages" and others (caption 1024)      |
| `telegram` | Bot API, `sendMessage` (4096), `sendPhoto` and others (caption 1024), `InlineKeyboardButton`          |
|            | (`callback_data` 64 bytes); 100 buttons under a message                                               |
| `slack`    | "Truncation of message text" (40,000), section block (3,000), actions block (25 elements), button     |
|            | (text 75, value 2,000, url 3,000), static select (100 options in 100 groups; texts 75; value 150),    |
|            | header block (150)                                                                                    |
| `twilio`   | Twilio, "Message resource", `Body` (1,600)                                                            |
| `email`    | our own: 1,000,000 characters                                                                         |

`http` and `console` have no limits: they send every content as it is.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

Unit = Literal["characters", "bytes"]


class ButtonLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of buttons under a text. `urls`: how many of them may open an address; `mixed`: beside others.
    `distinct_titles`: two buttons cannot have the same title."""

    count: int
    text: int
    title: int
    id: int
    id_unit: Unit = "characters"
    urls: int
    url: int = 2000
    mixed: bool = True
    distinct_titles: bool = False


class ListLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a list of rows that opens from a message. `rows` counts those of all sections together."""

    rows: int
    text: int
    title: int
    description: int
    id: int
    sections: int
    section_title: int
    label: int


class ContentLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a channel type. `name` is the provider's, for errors.

    Without `buttons`, choices are numbered lines of the text; without `lists`, rows are buttons. Without `templates`,
    approved templates cannot be sent. A `header` or `footer` of 0 is a line of the text.
    """

    name: str
    text: int
    caption: int
    buttons: ButtonLimits | None = None
    lists: ListLimits | None = None
    header: int = 0
    footer: int = 0
    templates: bool = False


LIMITS: Final[Mapping[str, ContentLimits]] = {
    "whatsapp": ContentLimits(
        name="WhatsApp",
        text=4096,
        caption=1024,
        buttons=ButtonLimits(count=3, text=1024, title=20, id=256, urls=1, mixed=False, distinct_titles=True),
        lists=ListLimits(rows=10, text=4096, title=24, description=72, id=200, sections=10, section_title=24, label=20),
        header=60,
        footer=60,
        templates=True,
    ),
    "telegram": ContentLimits(
        name="Telegram",
        text=4096,
        caption=1024,
        buttons=ButtonLimits(count=100, text=4096, title=4096, id=64, id_unit="bytes", urls=100),
    ),
    "slack": ContentLimits(
        name="Slack",
        text=40_000,
        caption=2000,
        buttons=ButtonLimits(count=25, text=3000, title=75, id=2000, urls=25, url=3000),
        lists=ListLimits(
            rows=100, text=3000, title=75, description=75, id=150, sections=100, section_title=75, label=75
        ),
        header=150,
    ),
    "twilio": ContentLimits(name="Twilio", text=1600, caption=1600, templates=True),
    "email": ContentLimits(name="e-mail", text=1_000_000, caption=1_000_000),
}


def limits_of(channel_type: str | None) -> ContentLimits | None:
    """The limits of a channel type. None: the type has none, or is not known."""
    return None if channel_type is None else LIMITS.get(channel_type)
