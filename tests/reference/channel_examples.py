"""The examples of the types of channels, from channel_examples.json: a definition, a message, and what is sent."""

import json
from pathlib import Path
from typing import Any, Literal

import msgspec

from tests.reference.json_layout import laid_out


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`message` is the data of the node, without its channel. `event` is the body that its templates see. `request` is
    the method and the path of the request, if the channel makes one, and `sent` a part of what the provider gets."""

    channel: dict[str, Any]
    message: dict[str, Any]
    sent: dict[str, Any] | str
    node: Literal["message", "notify"] = "message"
    event: dict[str, Any] = msgspec.field(default_factory=dict)
    request: str | None = None


EXAMPLES = msgspec.json.decode(Path(__file__).with_name("channel_examples.json").read_bytes(), type=dict[str, Example])
"""The example of each type."""


def section(name: str) -> str:
    """The example of one type of channel."""
    example = EXAMPLES[name]
    event = f", for the event `{json.dumps(example.event, ensure_ascii=False)}`" if example.event else ""
    made = {"twilio": "the form of", "email": "the mail", "console": "the line"}.get(name, "")
    made = " ".join(part for part in (made, f"`{example.request}`" if example.request else "") if part)
    language, sent = ("text", example.sent) if isinstance(example.sent, str) else ("json", laid_out(example.sent))
    return "\n".join(
        [
            "Example:",
            "",
            *("```json", laid_out(example.channel), "```", ""),
            f"A `{example.node}` over this channel",
            "",
            *("```json", laid_out(example.message), "```", ""),
            f"becomes {made}{event}:",
            "",
            *(f"```{language}", sent, "```", ""),
        ]
    )
