"""The providers for which the form of a channel has presets. The catalogue has the steps of each.

| text | what it is |
|---|---|
| `channel-presets.NAME`, `…-about` | what the provider is called, and what it is for |
| `channel-steps.NAME-1`, `…-2` and so on | what to do, in order |
| `channel-recipients.TYPE` | how a recipient is written |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ingest.dashboard.presentation.texts import Reader


@dataclass(frozen=True, slots=True)
class ChannelPreset:
    """A provider. `channel_id` is the id under which flows answer its contacts, `definition` what the form shows."""

    name: str
    kind: str
    channel_id: str
    definition: Mapping[str, Any] = field(default_factory=dict)

    def steps(self, reader: Reader) -> list[str]:
        """What the user does at the provider and here, in order."""
        found: list[str] = []
        while reader.has_text(text_id := f"channel-steps.{self.name}-{len(found) + 1}"):
            found.append(reader.text(text_id))
        return found


PRESETS: Final[tuple[ChannelPreset, ...]] = (
    ChannelPreset("whatsapp", "whatsapp", "whatsapp"),
    ChannelPreset("telegram", "telegram", "telegram"),
    ChannelPreset("slack", "slack", "slack"),
    ChannelPreset("slack-webhook", "slack", "slack-webhook"),
    ChannelPreset("twilio", "twilio", "twilio", {"from": "+"}),
    ChannelPreset("twilio-whatsapp", "twilio", "twilio", {"from": "whatsapp:+"}),
    ChannelPreset("email", "email", "email"),
    ChannelPreset("http", "http", "http"),
    ChannelPreset("console", "console", "console"),
)
BY_NAME: Final[Mapping[str, ChannelPreset]] = {one.name: one for one in PRESETS}


def preset_of(name: str | None, kind: str) -> ChannelPreset | None:
    """Returns the preset with this name if it is of the type, else the first one of the type."""
    named = BY_NAME.get(name or "")
    if named is not None and named.kind == kind:
        return named
    return next((one for one in PRESETS if one.kind == kind), None)
