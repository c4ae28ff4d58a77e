/* What React Flow draws: its nodes and edges for the flow of the store. What did not change stays the same object, so
   that it is not drawn again. */

import { edgesOf, nodesOf, noteKey, notesOf, positionOf } from "editor/edits";
import { format } from "editor/elements";
import { handleName, handleOf, handlesOf, nameOf } from "editor/node_types";

const ROW = 5;
const MAX_LABEL = 13;
const COLUMN_WIDTH = 260;
const ROW_HEIGHT = 160;

/* The edges that leave each node. */
function leaving(flow) {
  const found = new Map();
  for (const edge of edgesOf(flow)) {
    if (!found.has(edge.source)) found.set(edge.source, []);
    found.get(edge.source).push(edge);
  }
  return found;
}

/* The places of nodes without a position: in rows below all others. */
function placed(nodes, automatic, previous) {
  const places = new Map();
  for (const node of nodes) {
    const place = positionOf(node) ?? automatic[node.id] ?? previous.get(node.id)?.position;
    if (place) places.set(node.id, place);
  }
  const below = Math.max(-ROW_HEIGHT, ...[...places.values()].map((place) => place.y)) + ROW_HEIGHT;
  const rest = nodes.filter((node) => !places.has(node.id));
  rest.forEach((node, index) => places.set(node.id, { x: (index % ROW) * COLUMN_WIDTH, y: below + Math.floor(index / ROW) * ROW_HEIGHT }));
  return places;
}

/* The positions that a flow gets when it is moved for the first time: those that are shown. */
export function positioned(flow, shown) {
  const at = new Map(shown.map((node) => [node.id, node.position]));
  const missing = nodesOf(flow).filter((node) => !positionOf(node) && at.has(node.id));
  return Object.fromEntries(missing.map((node) => [node.id, at.get(node.id)]));
}

function counted(problems) {
  const counts = new Map();
  for (const { nodeId, severity } of problems) {
    const count = counts.get(nodeId) ?? { errors: 0, warnings: 0 };
    count[severity === "warning" ? "warnings" : "errors"] += 1;
    counts.set(nodeId, count);
  }
  return counts;
}

function isSamePlace(one, other) {
  return one.x === other.x && one.y === other.y;
}

export function drawnNodes(store, previousNodes, { shared, automatic, path }) {
  const flow = store.get();
  const nodes = nodesOf(flow);
  const previous = new Map(previousNodes.map((node) => [node.id, node]));
  const edges = leaving(flow);
  const targets = new Set(edgesOf(flow).map((edge) => edge.target));
  const places = placed(nodes, automatic, previous);
  const problems = counted(store.problems);
  const selected = new Set(store.selection());
  const taken = new Set(path.map((step) => step.nodeId));
  const drawn = nodes.map((node) => {
    const handles = handlesOf(node, edges.get(node.id) ?? []);
    const { errors, warnings } = problems.get(node.id) ?? { errors: 0, warnings: 0 };
    const hasInput = node.data?.mode !== "trigger" || targets.has(node.id);
    const key = JSON.stringify([handles, errors, warnings, hasInput, taken.has(node.id)]);
    const before = previous.get(node.id);
    const position = places.get(node.id);
    const isSelected = selected.has(node.id);
    const isSame = before && before.data.node === node && before.data.key === key;
    if (isSame && before.selected === isSelected && isSamePlace(before.position, position)) return before;
    const data = isSame ? before.data : { node, key, handles, errors, warnings, hasInput, isTaken: taken.has(node.id), shared };
    const type = shared.texts[`editor.type-${node.type}`] ?? node.type;
    return {
      ...before,
      id: node.id,
      type: "flow",
      position,
      data,
      selected: isSelected,
      ariaLabel: format(shared.texts["editor.node"], { type, name: nameOf(node), id: node.id }),
    };
  });
  return [...drawn, ...drawnNotes(flow, previous, shared)];
}

function drawnNotes(flow, previous, shared) {
  return notesOf(flow).map((note) => {
    const id = noteKey(note.id);
    const before = previous.get(id);
    const position = positionOf(note) ?? { x: 0, y: -140 };
    if (before?.data.note === note && isSamePlace(before.position, position)) return before;
    return { ...before, id, type: "note", position, data: { note, shared }, focusable: false, zIndex: -1, selected: before?.selected ?? false };
  });
}

/* A longer label would be hidden by the nodes beside it. The card of the node has the whole name. */
function shortened(label) {
  return label.length > MAX_LABEL ? `${label.slice(0, MAX_LABEL - 1)}…` : label;
}

function pairOf({ source, target }) {
  return JSON.stringify([source, target]);
}

export function drawnEdges(store, previousEdges, { texts, path }) {
  const flow = store.get();
  const nodes = new Map(nodesOf(flow).map((node) => [node.id, node]));
  const previous = new Map(previousEdges.map((edge) => [edge.data.edge, edge]));
  const outgoing = leaving(flow);
  const taken = new Set(path.slice(1).map((step, index) => pairOf({ source: path[index].nodeId, target: step.nodeId })));
  const shown = edgesOf(flow).filter((edge) => nodes.has(edge.source) && nodes.has(edge.target));
  const parallel = new Map();
  for (const edge of shown) parallel.set(pairOf(edge), [...(parallel.get(pairOf(edge)) ?? []), edge]);
  return shown.map((edge, index) => {
    const source = nodes.get(edge.source);
    const handles = handlesOf(source, outgoing.get(edge.source));
    const sourceHandle = handleOf(edge, handles);
    const beside = parallel.get(pairOf(edge));
    /* The labels of edges between the same nodes would lie on one another. */
    const more = beside.length > 1 ? ` +${beside.length - 1}` : "";
    const label = handles.length > 1 && edge === beside[0] ? `${shortened(handleName(source, sourceHandle, texts))}${more}` : undefined;
    const isTaken = taken.has(pairOf(edge));
    const id = String(index);
    const before = previous.get(edge);
    if (before && before.id === id && before.sourceHandle === sourceHandle && before.label === label && before.data.isTaken === isTaken) return before;
    const ariaLabel = format(texts["editor.edge"], { source: nameOf(source), handle: handleName(source, sourceHandle, texts), target: nameOf(nodes.get(edge.target)) });
    return {
      id,
      source: edge.source,
      sourceHandle,
      target: edge.target,
      label,
      ariaLabel,
      className: isTaken ? "taken" : "",
      markerEnd: { type: "arrowclosed", color: "var(--control)", width: 18, height: 18 },
      interactionWidth: 24,
      data: { edge, isTaken },
      selected: before?.selected ?? false,
    };
  });
}
