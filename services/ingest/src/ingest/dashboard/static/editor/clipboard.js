/* Copied nodes: JSON text that can be pasted into the same flow, another one, or a text editor. */

import { edgesOf, freeId, nodesOf, notesOf, positionOf, snapped, withReferences } from "editor/edits";
import { parseJson } from "editor/json_text";

const PASTED_BESIDE = 40;

/* The text of nodes, with the edges between them, and of notes. */
export function copiedText(flow, nodeIds, noteIds = []) {
  const nodes = nodesOf(flow).filter((node) => nodeIds.includes(node.id));
  const edges = edgesOf(flow).filter((edge) => nodeIds.includes(edge.source) && nodeIds.includes(edge.target));
  const notes = notesOf(flow).filter((note) => noteIds.includes(note.id));
  return JSON.stringify({ nodes, edges, ...(notes.length ? { notes } : {}) }, null, 2);
}

/* The nodes of a text: what copiedText wrote, a whole definition, a list of nodes, or one node. Null without any. */
function readText(text) {
  let given;
  try {
    given = parseJson(text);
  } catch {
    return null;
  }
  const whole = Array.isArray(given) ? { nodes: given } : typeof given?.type === "string" ? { nodes: [given] } : given;
  const nodes = nodesOf(whole).filter((node) => typeof node.type === "string");
  const notes = notesOf(whole);
  return nodes.length || notes.length ? { nodes, edges: edgesOf(whole), notes } : null;
}

/* Adds the nodes of a text; returns the flow and the new ids, or null. `at` is their upper left corner; by default
   they are beside where they were. A taken id gets a number, also where the added nodes refer to it. */
export function pasted(flow, text, at = null) {
  const given = readText(text);
  if (!given) return null;
  const taken = new Set(nodesOf(flow).map((node) => node.id));
  const renamed = {};
  for (const { id } of given.nodes) {
    renamed[id] = freeId(taken, id);
    taken.add(renamed[id]);
  }
  const places = [...given.nodes, ...given.notes].map(positionOf).filter(Boolean);
  const corner = { x: Math.min(...places.map((place) => place.x)), y: Math.min(...places.map((place) => place.y)) };
  const start = at ?? { x: corner.x + PASTED_BESIDE, y: corner.y + PASTED_BESIDE };
  const moved = (item, index) => {
    const place = positionOf(item);
    const to = place ? { x: start.x + place.x - corner.x, y: start.y + place.y - corner.y } : { x: (at?.x ?? 0) + 240 * index, y: at?.y ?? 0 };
    return snapped(to);
  };
  const nodes = given.nodes.map((node, index) => ({
    ...node,
    id: renamed[node.id],
    position: { ...node.position, ...moved(node, index) },
    ...("data" in node ? { data: withReferences(node.data, renamed) } : {}),
  }));
  const edgeIds = new Set(edgesOf(flow).map((edge) => edge.id));
  const edges = given.edges
    .filter((edge) => Object.hasOwn(renamed, edge.source) && Object.hasOwn(renamed, edge.target))
    .map((edge) => {
      const id = typeof edge.id === "string" ? freeId(edgeIds, edge.id) : undefined;
      edgeIds.add(id);
      return { ...edge, ...(id === undefined ? {} : { id }), source: renamed[edge.source], target: renamed[edge.target] };
    });
  const noteIds = new Set(notesOf(flow).map((note) => note.id));
  const notes = given.notes.map((note, index) => {
    const id = freeId(noteIds, note.id);
    noteIds.add(id);
    return { ...note, id, position: { ...note.position, ...moved(note, index) } };
  });
  const next = { ...flow, nodes: [...(flow.nodes ?? []), ...nodes], edges: [...(flow.edges ?? []), ...edges] };
  return { flow: notes.length ? { ...next, notes: [...(flow.notes ?? []), ...notes] } : next, ids: nodes.map((node) => node.id) };
}
