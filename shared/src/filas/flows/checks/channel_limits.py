"""The limits of the channels that a flow sends over, as far as they are known when it is stored."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from filas.channels import content_checks
from filas.channels.content_limits import LIMITS
from filas.channels.content_parts import parts_of
from filas.channels.invalid_content import InvalidContent
from filas.flows.definition.flow_definition import Draft, Node
from filas.flows.nodes.message_content import with_placeholders
from filas.flows.problems import Report

Found = tuple[str, str]
"""A field and a message."""


class KnownChannels(msgspec.Struct, frozen=True):
    """The types of the stored channels by their ids, and the channels of the conversations in which the flow runs. A
    channel that is not stored has the type that its id names."""

    types: Mapping[str, str] = {}
    conversation: Collection[str] = ()

    def of_node(self, node: Node) -> list[str]:
        """The types of the channels over which the node certainly sends."""
        named: str | None = getattr(node.data, "channel", None)
        channels = self.conversation if named is None else () if with_placeholders(named) != named else (named,)
        types = {self.types.get(one, one if one in LIMITS else None) for one in channels}
        return sorted(one for one in types if one is not None)


def check_contents(draft: Draft, report: Report, channels: KnownChannels) -> None:
    """Reports each literal content that a channel would refuse. A text with templates is known only in a run."""
    for each in draft.nodes:
        if not each.sound:
            continue
        for channel_type in channels.of_node(each.node):
            for content in each.node.data.contents():
                for field, message in _problems(with_placeholders(content), channel_type):
                    report.add(each.node.id, each.node.data.field_of(field), message, "beyond-channel-limit")


def _problems(content: dict[str, Any], channel_type: str) -> Iterator[Found]:
    try:
        parts = parts_of(content, channel_type)
    except InvalidContent as error:
        yield error.field, str(error)
        return
    for part in parts:
        for field, message, _ in content_checks.problems(part, channel_type):
            yield field, message
