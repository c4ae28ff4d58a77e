/* The edits of a flow: functions from a flow to a new flow. Fields that they do not know stay. */

import { isObject } from "editor/json_text";

export const GRID = 20;

const IN_TEMPLATE = { reference: /\bnodes(?:\.([A-Za-z0-9_-]+)|\[\s*(["'])(.*?)\2\s*\])/g, name: /^[A-Za-z_][A-Za-z0-9_-]*$/ };
const IN_EXPRESSION = { reference: /\bnodes(?:\.([A-Za-z0-9_]+)|\[\s*(["'])(.*?)\2\s*\])/g, name: /^[A-Za-z_][A-Za-z0-9_]*$/ };
const TEMPLATE = /\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}/g;
const MAX_REFERENCE_DEPTH = 100;

function listOf(value) {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/* The nodes with an id, each id once: the JSON may be unfinished while it is written. */
export function nodesOf(flow) {
  const seen = new Set();
  return listOf(flow?.nodes).filter((node) => {
    if (typeof node.id !== "string" || !node.id || seen.has(node.id)) return false;
    seen.add(node.id);
    return true;
  });
}

export function nodeOf(flow, id) {
  return nodesOf(flow).find((node) => node.id === id);
}

export function edgesOf(flow) {
  return listOf(flow?.edges);
}

export function notesOf(flow) {
  return listOf(flow?.notes).filter((note) => typeof note.id === "string");
}

/* The position of a node, null without one. */
export function positionOf(node) {
  const { x, y } = isObject(node.position) ? node.position : {};
  return Number.isFinite(x) && Number.isFinite(y) ? { x, y } : null;
}

/* `wanted`, or with the first number that makes it free: menu, menu-2, menu-3. */
export function freeId(taken, wanted) {
  if (!taken.has(wanted)) return wanted;
  const stem = wanted.replace(/-\d+$/, "") || wanted;
  let number = 2;
  while (taken.has(`${stem}-${number}`)) number += 1;
  return `${stem}-${number}`;
}

function idsOf(items) {
  return new Set(items.map((item) => item.id));
}

export function snapped({ x, y }) {
  return { x: Math.round(x / GRID) * GRID, y: Math.round(y / GRID) * GRID };
}

/* Adds a node; returns the flow and the node's id. */
export function withNode(flow, type, data, position, wanted = type) {
  const id = freeId(idsOf(nodesOf(flow)), wanted);
  const node = { id, type, position: snapped(position), data };
  return { flow: { ...flow, nodes: [...(Array.isArray(flow.nodes) ? flow.nodes : []), node] }, id };
}

/* Removes nodes with their edges. */
export function withoutNodes(flow, ids) {
  const gone = new Set(ids);
  return {
    ...flow,
    nodes: flow.nodes.filter((node) => !gone.has(node?.id)),
    edges: (flow.edges ?? []).filter((edge) => !gone.has(edge?.source) && !gone.has(edge?.target)),
  };
}

/* Adds an edge. Returns the same flow if there is one like it. */
export function withEdge(flow, source, handle, target) {
  const edges = edgesOf(flow);
  const sourceHandle = handle || undefined;
  if (edges.some((edge) => edge.source === source && edge.target === target && (edge.sourceHandle ?? undefined) === sourceHandle)) return flow;
  const id = freeId(idsOf(edges), `e${edges.length + 1}`);
  const edge = sourceHandle ? { id, source, sourceHandle, target } : { id, source, target };
  return { ...flow, edges: [...(flow.edges ?? []), edge] };
}

/* Removes edges, which are the objects of the flow. */
export function withoutEdges(flow, edges) {
  const gone = new Set(edges);
  return { ...flow, edges: (flow.edges ?? []).filter((edge) => !gone.has(edge)) };
}

/* Sets the positions of nodes and notes. `positions`: by id; notes have the ids of `noteKey`. */
export function withPositions(flow, positions) {
  const move = (item, key) => {
    const to = positions[key];
    const at = isObject(item) ? positionOf(item) : null;
    return !to || (at && at.x === to.x && at.y === to.y) ? item : { ...item, position: { ...item.position, ...to } };
  };
  const nodes = flow.nodes.map((node) => move(node, node?.id));
  const notes = flow.notes?.map((note) => move(note, noteKey(note?.id)));
  const isSame = nodes.every((node, index) => node === flow.nodes[index]) && (notes ?? []).every((note, index) => note === flow.notes[index]);
  if (isSame) return flow;
  return notes ? { ...flow, nodes, notes } : { ...flow, nodes };
}

export function noteKey(id) {
  return `note ${id}`;
}

export function withNote(flow, text, position) {
  const id = freeId(idsOf(notesOf(flow)), "note");
  return { flow: { ...flow, notes: [...(flow.notes ?? []), { id, text, position: snapped(position) }] }, id };
}

export function withNoteText(flow, id, text) {
  return { ...flow, notes: flow.notes.map((note) => (note?.id === id ? { ...note, text } : note)) };
}

export function withoutNotes(flow, ids) {
  const gone = new Set(ids);
  return { ...flow, notes: (flow.notes ?? []).filter((note) => !gone.has(note?.id)) };
}

/* In an expression a hyphen is a minus; in a template it is part of a name. */
function withReferencesInText(text, renamed, { reference, name }) {
  return text.replace(reference, (found, plain, quote, quoted) => {
    const id = plain ?? quoted;
    if (!Object.hasOwn(renamed, id)) return found;
    const next = renamed[id];
    if (quote) return `nodes[${quote}${next}${quote}]`;
    return name.test(next) ? `nodes.${next}` : `nodes["${next}"]`;
  });
}

/* Replaces the references `nodes.ID` in the templates and expressions of a value. `renamed`: new ids by old. Text
   outside of `{{ }}` and `{% %}` stays, except in a field `expression`. */
export function withReferences(value, renamed, isExpression = false, depth = 0) {
  if (depth > MAX_REFERENCE_DEPTH) return value;
  if (typeof value === "string") {
    return isExpression ? withReferencesInText(value, renamed, IN_EXPRESSION) : value.replace(TEMPLATE, (part) => withReferencesInText(part, renamed, IN_TEMPLATE));
  }
  if (Array.isArray(value)) return value.map((item) => withReferences(item, renamed, false, depth + 1));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withReferences(item, renamed, key === "expression", depth + 1)]));
}
