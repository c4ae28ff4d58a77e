"""Converts an exported typebot to a flow: each block to its nodes, and the edges between groups, blocks and items."""

from typing import Final

from filas.flows.imports.flow_builder import TRIGGER, FlowBuilder, ImportRefused, placeholder
from filas.flows.imports.foreign_fields import text
from filas.flows.imports.import_report import BlockReport, ImportedBlock
from filas.flows.imports.typebot import bubbles
from filas.flows.imports.typebot.inputs import INPUTS, Question
from filas.flows.imports.typebot.integrations import INTEGRATIONS, LEFT_OUT
from filas.flows.imports.typebot.logic import LOGIC
from filas.flows.imports.typebot.typebot_document import Block, Group, Target, TypebotDocument, read_typebot
from filas.flows.imports.typebot.typebot_scope import Part, TypebotScope

_BUBBLES: Final = {
    "text": bubbles.text_bubble,
    "image": bubbles.image_bubble,
    "video": bubbles.video_bubble,
    "audio": bubbles.audio_bubble,
    "embed": bubbles.embed_bubble,
    "location": bubbles.location_bubble,
}


class TypebotImport:
    """The conversion of one typebot. Raises ImportRefused for a document that is none, or is too large."""

    def __init__(self, raw: object) -> None:
        self.document = read_typebot(raw)
        self.builder = FlowBuilder(self.document.name)
        self.report_of: dict[str, BlockReport] = {}
        self._scope = TypebotScope(self.document, self.builder)
        self._reports: dict[Block, BlockReport] = {}
        self._parts: dict[Block, Part] = {}
        self._groups: dict[str, Group] = {}
        self._blocks: dict[str, Block] = {}
        for group in self.document.groups:
            self._groups.setdefault(group.id, group)
        for block in self.document.blocks():
            self._blocks.setdefault(block.id, block)
        self._events: list[BlockReport] = []
        self._entries: dict[Block, str | None] = {}
        self._convert()

    def blocks(self) -> list[ImportedBlock]:
        """The report, after the flow is finished: blocks whose nodes cannot be reached are left out."""
        found = []
        for report in self._reports.values():
            had_nodes = bool(report.nodes)
            report.nodes = [name for name in report.nodes if name in self.builder.nodes]
            if had_nodes and not report.nodes and report.status != "left-out":
                report.clear()
                report.add("unreachable")
            found.append(report.finished())
        return found + [report.finished() for report in self._events]

    def _convert(self) -> None:
        start = self.builder.new_id(TRIGGER)
        self.builder.add(start, "webhook", {"mode": "trigger"}, self.document.start_at)
        targeted = _targeted_blocks(self.document)
        prompts: dict[Block, str] = {}
        for block in self.document.blocks():
            report = BlockReport(block.id, block.type, block.group.title)
            self._reports[block] = report
            following = block.following
            is_asked = following is not None and following.type in INPUTS and following.id not in targeted
            if block.type == "text" and following is not None and is_asked and not self._leaves(block):
                prompt = bubbles.text_of(block, self._scope, report)
                if prompt:
                    prompts[following] = prompt
                    report.add("joined-with-question")
                    self._parts[block] = Part()
                    continue
            self._parts[block] = self._part(block, report, prompts.get(block, ""))
            for name in report.nodes:
                self.report_of[name] = report
            if block in prompts:
                self._reports[block.group.blocks[block.index - 1]].nodes = report.nodes[:1]
        self._wire(start)
        for event in self.document.events:
            report = BlockReport(text(event.get("id")), text(event.get("type")), "")
            report.add("event", event=text(event.get("type")) or "an event")
            self._events.append(report)

    def _leaves(self, block: Block) -> bool:
        return self.document.target(block.raw, block.id) is not None

    def _part(self, block: Block, report: BlockReport, prompt: str) -> Part:
        part: Part | None = None
        if block.type in _BUBBLES:
            return _BUBBLES[block.type](block, self._scope, report)
        if block.type in INPUTS:
            part = INPUTS[block.type](Question(block, self._scope, report, prompt))
            return part if part.entry is not None or not prompt else self._said(block, report, prompt)
        if block.type in LOGIC:
            return LOGIC[block.type](block, self._scope, report)
        if block.type in INTEGRATIONS:
            part = INTEGRATIONS[block.type](block, self._scope, report)
        else:
            report.add(LEFT_OUT.get(block.type, "unsupported"))
        return part or self._scope.single(block, report, "delay", placeholder(block.type or "block"), "left-out")

    def _said(self, block: Block, report: BlockReport, prompt: str) -> Part:
        """The text before a question that is left out."""
        return self._scope.single(block, report, "message", {"text": prompt}, "text")

    def _wire(self, start: str) -> None:
        target = self.document.start
        if target is None:
            raise ImportRefused("it has no start: connect its start with a group, and export it again")
        first = self._entry_of(target)
        if first is not None:
            self.builder.connect(start, "out", first)
        for block, part in self._parts.items():
            for source, handle, wanted in part.exits:
                next_id = self._onward(block) if wanted is None else self._node_or_entry(wanted)
                if wanted is not None and next_id is None and not self._exists(wanted):
                    self._reports[block].add("unknown-block")
                if next_id is not None:
                    self.builder.connect(source, handle, next_id)

    def _node_or_entry(self, target: Target) -> str | None:
        if not target.group and target.block in self.builder.nodes:
            return target.block
        return self._entry_of(target)

    def _exists(self, target: Target) -> bool:
        return (target.block in self._blocks) if target.block else target.group in self._groups

    def _onward(self, block: Block) -> str | None:
        """The first node after a block: by its edge, otherwise the next block of its group."""
        target = self.document.target(block.raw, block.id)
        if target is not None:
            if not self._exists(target):
                self._reports[block].add("unknown-block")
            return self._entry_of(target)
        return None if block.following is None else self._entry(block.following)

    def _entry_of(self, target: Target) -> str | None:
        block = self._blocks.get(target.block or "")
        if block is None:
            group = self._groups.get(target.group)
            block = group.blocks[0] if group is not None else None
        return None if block is None else self._entry(block)

    def _entry(self, block: Block) -> str | None:
        """The first node that runs when a block is reached. Blocks without nodes lead on; a circle of them ends."""
        passed: dict[Block, None] = {}
        current: Block | None = block
        found: str | None = None
        while current is not None and current not in passed:
            if current in self._entries:
                found = self._entries[current]
                break
            part = self._parts[current]
            if part.entry is not None:
                found = part.entry
                break
            passed[current] = None
            current = self._after_nothing(current, part)
        for one in passed:
            self._entries[one] = found
        return found

    def _after_nothing(self, block: Block, part: Part) -> Block | None:
        target = part.jump or self.document.target(block.raw, block.id)
        if target is None:
            return block.following
        found = self._blocks.get(target.block or "")
        group = self._groups.get(target.group)
        return found or (group.blocks[0] if group is not None else None)


def _targeted_blocks(document: TypebotDocument) -> set[str]:
    """The blocks to which edges and jumps lead directly."""
    found = {target.block for target in (*document.edges.values(), *document.edges_from.values()) if target.block}
    for block in document.blocks():
        if block.type == "Jump":
            found.add(text(block.options.get("blockId")))
    firsts = {group.blocks[0].id for group in document.groups}
    return {name for name in found if name and name not in firsts}
