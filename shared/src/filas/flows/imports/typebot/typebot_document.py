"""Reads an exported typebot of the versions 3 to 6 into groups, blocks and edges.

| version | start                                        | webhook of a block                    |
|---------|----------------------------------------------|---------------------------------------|
| 3 to 5  | a group with a block of the type `start`      | `options.webhook`, or `webhooks` by id |
| 6       | an event of the type `start` under `events`   | `options.webhook`                     |
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from filas.flows import value_limits
from filas.flows.imports.flow_builder import ImportRefused, place
from filas.flows.imports.foreign_fields import mapping, objects, text

MAX_BLOCKS: Final = value_limits.MAX_NODES
MAX_EDGES: Final = value_limits.MAX_EDGES
BLOCK_HEIGHT: Final = 90


@dataclass(frozen=True, slots=True)
class Target:
    """Where an edge leads: to a group, or to a block in it."""

    group: str
    block: str | None = None


@dataclass(eq=False, slots=True)
class Block:
    """A block. `index` is its place in its group."""

    id: str
    type: str
    raw: dict[str, Any]
    group: "Group"
    index: int

    @property
    def options(self) -> dict[str, Any]:
        return mapping(self.raw.get("options"))

    @property
    def content(self) -> dict[str, Any]:
        return mapping(self.raw.get("content"))

    @property
    def items(self) -> list[dict[str, Any]]:
        return objects(self.raw.get("items"))

    @property
    def at(self) -> tuple[float, float]:
        """The position: that of its group, with space for the blocks before it."""
        return self.group.at[0], self.group.at[1] + self.index * BLOCK_HEIGHT

    @property
    def following(self) -> "Block | None":
        """The next block of the group."""
        blocks = self.group.blocks
        return blocks[self.index + 1] if self.index + 1 < len(blocks) else None


@dataclass(eq=False, slots=True)
class Group:
    """A group: its blocks follow one another."""

    id: str
    title: str
    at: tuple[float, float]
    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class TypebotDocument:
    """An exported typebot. `events` are those of version 6 that are not its start."""

    name: str
    groups: list[Group]
    start: Target | None
    start_at: tuple[float, float]
    start_name: str
    events: list[dict[str, Any]]
    variables: list[dict[str, Any]]
    webhooks: dict[str, dict[str, Any]]
    edges: dict[str, Target]
    edges_from: dict[tuple[str, str], Target]

    def blocks(self) -> Iterator[Block]:
        """All blocks, group by group."""
        for group in self.groups:
            yield from group.blocks

    def target(self, owner: dict[str, Any], block_id: str, item_id: str = "") -> Target | None:
        """Where the edge of a block or of one of its items leads, or None if it has none."""
        named = self.edges.get(text(owner.get("outgoingEdgeId")))
        return named or self.edges_from.get((block_id, item_id))


def read_typebot(raw: object) -> TypebotDocument:
    """Reads an export. Raises ImportRefused if it is none."""
    document = mapping(raw)
    if isinstance(document.get("typebot"), dict):
        document = document["typebot"]
    if isinstance(document.get("blocks"), list) and "groups" not in document:
        raise ImportRefused("it is a typebot of a version before 3: open it in Typebot, and export it again")
    if not isinstance(document.get("groups"), list):
        raise ImportRefused("it is not an exported typebot: it has no list `groups`")
    groups, start_groups = _groups(document)
    edges, edges_from = _edges(document.get("edges"))
    found = TypebotDocument(
        name=text(document.get("name")) or "Typebot",
        groups=groups,
        start=None,
        start_at=(0.0, 0.0),
        start_name="start",
        events=[],
        variables=objects(document.get("variables")),
        webhooks={text(one.get("id")): one for one in objects(document.get("webhooks"))},
        edges=edges,
        edges_from=edges_from,
    )
    for event in objects(document.get("events")):
        if text(event.get("type")) == "start" and found.start is None:
            at = mapping(event.get("graphCoordinates"))
            found.start_at = place(at.get("x"), at.get("y"))
            found.start = found.target(event, text(event.get("id")))
        else:
            found.events.append(event)
    for raw_group, block in start_groups:
        if found.start is None:
            at = mapping(raw_group.get("graphCoordinates"))
            found.start_at = place(at.get("x"), at.get("y"))
            found.start = found.target(block, text(block.get("id")))
    if found.start is None and groups and not start_groups and not document.get("events"):
        found.start = Target(groups[0].id)
    return found


def _groups(document: dict[str, Any]) -> tuple[list[Group], list[tuple[dict[str, Any], dict[str, Any]]]]:
    """The groups without the start block, and the start blocks with their groups."""
    groups: list[Group] = []
    starts: list[tuple[dict[str, Any], dict[str, Any]]] = []
    count = 0
    for raw in objects(document["groups"]):
        at = mapping(raw.get("graphCoordinates"))
        group = Group(text(raw.get("id")), text(raw.get("title")), place(at.get("x"), at.get("y")))
        for block in objects(raw.get("blocks")):
            if text(block.get("type")) == "start":
                starts.append((raw, block))
                continue
            count += 1
            if count > MAX_BLOCKS:
                raise ImportRefused(f"it has more than {MAX_BLOCKS} blocks, the most that one flow has")
            kind = text(block.get("type"))
            group.blocks.append(Block(text(block.get("id")), kind, block, group, len(group.blocks)))
        if group.blocks:
            groups.append(group)
    return groups, starts


def _edges(raw: object) -> tuple[dict[str, Target], dict[tuple[str, str], Target]]:
    by_id: dict[str, Target] = {}
    by_source: dict[tuple[str, str], Target] = {}
    edges = objects(raw)
    if len(edges) > MAX_EDGES:
        raise ImportRefused(f"it has more than {MAX_EDGES} edges, the most that one flow has")
    for edge in edges:
        to, source = mapping(edge.get("to")), mapping(edge.get("from"))
        target = Target(text(to.get("groupId")), text(to.get("blockId")) or None)
        if text(edge.get("id")):
            by_id.setdefault(text(edge["id"]), target)
        name = text(source.get("blockId")) or text(source.get("eventId"))
        if name:
            by_source.setdefault((name, text(source.get("itemId")) or text(source.get("pathId"))), target)
    return by_id, by_source
