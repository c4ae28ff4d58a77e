"""The definition of a flow, in the format of React Flow."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from filas.contract.comparable_text import MAX_CHARS
from filas.errors import NewerVersionRequired, PermanentError
from filas.flows import value_limits
from filas.flows.definition.node_types import NODE_TYPES
from filas.flows.definition.struct_reader import Reader
from filas.flows.locales import DEFAULT_LOCALE
from filas.flows.nodes.node_data import NodeData, Part
from filas.flows.problems import Report

SCHEMA_VERSION = 1

Name = Annotated[str, Meta(min_length=1, max_length=value_limits.MAX_ID_CHARS, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")]
"""An id of an author: any text without control characters."""


class ConversationSettings(Part, frozen=True, kw_only=True):
    """How executions of the flow behave among others of their conversation.

    `idle_ms`: how long a question without a `timeoutMs` of its own is open, and how long any question is open if
    another one is asked after it. `on_new_start`: whether an execution that begins leaves the others of its
    conversation as they are (`keep`), or cancels those that wait (`replace`). `restart_on`: if the contact sends one of
    these texts, the executions that wait in the conversation are cancelled, and the webhook's flow starts from its
    beginning.
    """

    idle_ms: Annotated[int, Meta(ge=1, le=366 * 24 * 3600 * 1000)] = 86_400_000
    on_new_start: Literal["keep", "replace"] = "keep"
    restart_on: Annotated[list[Annotated[str, Meta(min_length=1, max_length=MAX_CHARS)]], Meta(max_length=100)] = (
        msgspec.field(default_factory=list)
    )


class Settings(Part, frozen=True, kw_only=True):
    """The bounds of an execution: `timeout_ms` from its start, `max_steps` in all, `max_visits_per_node`.
    `error_flow_id`: the flow that starts when an execution of this one fails or times out. `undelivered_flow_id`:
    the flow that starts when a message could not be delivered and no node of its execution waits for it. `locale`:
    how texts write numbers, dates and money. `timezone`: an IANA name, for times without an offset (None: UTC).
    `conversation`: see ConversationSettings."""

    timeout_ms: Annotated[int, Meta(ge=1, le=366 * 24 * 3600 * 1000)] = 604_800_000
    max_steps: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    max_visits_per_node: Annotated[int, Meta(ge=1, le=100_000)] = 100
    error_flow_id: Name | None = None
    undelivered_flow_id: Name | None = None
    locale: Annotated[str, Meta(min_length=2, max_length=64)] = DEFAULT_LOCALE
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    conversation: ConversationSettings = msgspec.field(default_factory=ConversationSettings)


class Variable(Part, frozen=True, kw_only=True):
    """A variable of the flow. A written value is converted to `type` if nothing is lost.

    `scope` `conversation`: the value is stored with the conversation, for its later executions. `secret`: the value
    appears in no trace.
    """

    name: Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_-]*(?!\\n)$", max_length=value_limits.MAX_ID_CHARS)]
    type: Literal["any", "string", "number", "boolean", "list", "object"] = "any"
    default: Any = None
    scope: Literal["execution", "conversation"] = "execution"
    secret: bool = False


class NotePosition(msgspec.Struct, frozen=True, kw_only=True):
    """The upper left corner of a note, in the units of the nodes' positions."""

    x: float
    y: float


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A note on the canvas of the editor. Executions ignore it. Other fields of an editor are kept."""

    id: Name
    text: Annotated[str, Meta(max_length=value_limits.MAX_NOTE_CHARS)] = ""
    position: NotePosition | None = None


class NodeHead(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a node besides its data. React Flow's own fields (`position`, `measured`, …) are ignored."""

    id: Name
    type: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class Edge(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An edge from a handle (`source_handle`) of one node to another. Edges of one handle run in their order."""

    source: str
    target: str
    source_handle: str | None = None
    id: str | None = None


class FlowHead(Part, frozen=True, kw_only=True):
    """The fields of a definition. The engine ignores `$schema`, `id`, `description`, `notes` and React Flow's
    `viewport`."""

    schema: Any = msgspec.field(name="$schema", default=None)
    schema_version: Literal[1] = 1
    name: Annotated[str, Meta(max_length=200, pattern="^[^\\x00]*$")] = ""
    description: Any = None
    id: Any = None
    viewport: Any = None
    settings: Settings = Settings()
    variables: Annotated[list[Variable], Meta(max_length=value_limits.MAX_VARIABLES)] = msgspec.field(
        default_factory=list
    )
    nodes: Annotated[list[Any], Meta(min_length=1, max_length=value_limits.MAX_NODES)]
    edges: Annotated[list[Any], Meta(max_length=value_limits.MAX_EDGES)] = msgspec.field(default_factory=list)
    notes: Annotated[list[Note], Meta(max_length=value_limits.MAX_NOTES)] = msgspec.field(default_factory=list)


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node with its data decoded."""

    id: str
    type: str
    data: NodeData


class FlowDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded definition. After the checks, its node ids are unique."""

    name: str
    settings: Settings
    variables: list[Variable]
    nodes: list[Node]
    edges: list[Edge]


class DraftNode(msgspec.Struct, frozen=True):
    """A node of a draft, with the reader that read its data. `sound`: it has no errors."""

    node: Node
    reader: Reader

    @property
    def sound(self) -> bool:
        return not self.reader.failed


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """The decoded parts of a definition. The checks use them even if other parts have errors.

    `given` has the fields of the head that the JSON has, such as `settings.maxSteps`. `ids` has the id of every node,
    also of nodes of unknown types. `edges` has None for an invalid edge.
    """

    head: FlowHead
    given: set[str]
    ids: list[str]
    nodes: list[DraftNode]
    edges: list[Edge | None]

    def definition(self) -> FlowDefinition:
        """The definition of a draft without errors."""
        return FlowDefinition(
            name=self.head.name,
            settings=self.head.settings,
            variables=self.head.variables,
            nodes=[draft.node for draft in self.nodes],
            edges=[edge for edge in self.edges if edge is not None],
        )


class FlowInvalid(PermanentError):
    """A stored definition is invalid."""


class FlowOfNewerVersion(NewerVersionRequired):
    """A stored definition uses what only a newer version knows."""


def load(raw: object) -> FlowDefinition:
    """Decodes the definition of a flow that was checked when it was stored.

    Raises FlowOfNewerVersion for a node type, a field or a value that this version does not know, and FlowInvalid.
    """
    report = Report()
    draft = read_draft(raw, report)
    if report.unknown:
        raise FlowOfNewerVersion(f"the flow's definition needs a newer version: unknown {report.unknown[0]}")
    for problem in report.problems:
        where = f"node {problem.node_id}, {problem.field}" if problem.node_id else problem.field
        raise FlowInvalid(f"the flow's definition cannot be run: {where}: {problem.message}")
    return draft.definition()


def read_draft(raw: object, report: Report) -> Draft:
    """Decodes a definition as far as possible, and reports every wrong field."""
    reader = Reader(report.of_node(None), report.unknown.append)
    head = reader.read(raw, FlowHead)
    nodes: list[DraftNode] = []
    ids: list[str] = []
    for index, item in enumerate(head.nodes):
        node = _read_node(item, index, report)
        if node is not None:
            nodes.append(node)
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            ids.append(item["id"])
    edges = [_read_edge(edge, index, report) for index, edge in enumerate(head.edges)]
    return Draft(head=head, given=reader.given, ids=ids, nodes=nodes, edges=edges)


def _read_node(item: object, index: int, report: Report) -> DraftNode | None:
    node_id = item.get("id") if isinstance(item, dict) else None
    named = isinstance(node_id, str) and bool(node_id)
    add = report.of_node(node_id) if named else report.of_node(None, f"nodes[{index}]")
    reader = Reader(add, report.unknown.append)
    head = reader.read(item, NodeHead)
    data_type = NODE_TYPES.get(head.type)
    if data_type is None:
        if "type" not in reader.failed and isinstance(item, dict):
            known = ", ".join(NODE_TYPES)
            report.unknown.append(f"node type {head.type[:64]!r}")
            report.of_node(head.id or None)("type", f"unknown node type {head.type[:64]!r}; known are {known}")
        return None
    data = reader.read(head.data, data_type)
    return DraftNode(Node(id=head.id, type=head.type, data=data), reader)


def _read_edge(item: object, index: int, report: Report) -> Edge | None:
    reader = Reader(report.of_node(None, f"edges[{index}]"), report.unknown.append)
    edge = reader.read(item, Edge)
    return None if reader.failed else edge
