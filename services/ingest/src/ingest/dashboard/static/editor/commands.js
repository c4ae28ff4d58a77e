/* What the tools, the palette and the keys do. */

import { copiedText, pasted } from "editor/clipboard";
import { GRID, edgesOf, nodeOf, withEdge, withNode, withNote, withoutEdges, withoutNodes, withoutNotes } from "editor/edits";
import { announce, format } from "editor/elements";
import { NODE_TYPES, handlesOf } from "editor/node_types";

const BESIDE = 280;

export function createCommands({ store, canvas, texts }) {
  const say = (name, parameters) => announce(format(texts[`editor.${name}`], parameters));
  const edit = (flow) => store.set(flow, { origin: "canvas" });

  /* A place to the right of a node, below those that are there. */
  function beside(id) {
    const at = canvas.positionOf(id);
    const drawn = (store.get().nodes ?? []).map((node) => canvas.positionOf(node?.id)).filter(Boolean);
    const place = { x: at.x + BESIDE, y: at.y };
    while (drawn.some((other) => Math.abs(other.x - place.x) < 200 && Math.abs(other.y - place.y) < 120)) place.y += GRID * 7;
    return place;
  }

  /* The first handle of a node from which no edge leaves. */
  function freeHandle(id) {
    const node = nodeOf(store.get(), id);
    const edges = edgesOf(store.get()).filter((edge) => edge.source === id);
    const handles = handlesOf(node, edges);
    const free = handles.find((handle) => !edges.some((edge) => (edge.sourceHandle ?? handles[0]) === handle));
    return free && { handle: free, isOnly: handles.length === 1 };
  }

  return {
    /* Adds a node: where it was dropped, else after the selected node, and connected with it. */
    add(type, dropped) {
      if (store.isReadOnly) return;
      const [after] = dropped || store.selection().length !== 1 ? [] : store.selection();
      const place = dropped ?? (after ? beside(after) : canvas.middle());
      const made = withNode(canvas.complete(store.get()), type, NODE_TYPES[type].create(), place);
      const from = after && freeHandle(after);
      edit(from ? withEdge(made.flow, after, from.isOnly ? undefined : from.handle, made.id) : made.flow);
      store.select([made.id]);
      if (!dropped) canvas.show(made.id);
      say("added", { name: texts[`editor.type-${type}`] });
    },
    addNote() {
      if (store.isReadOnly) return;
      const { flow } = withNote(canvas.complete(store.get()), "", canvas.middle());
      edit(flow);
    },
    remove() {
      const edges = canvas.selectedEdges();
      const notes = canvas.selectedNotes();
      const nodes = store.selection();
      const count = edges.length + notes.length + nodes.length;
      if (!count || store.isReadOnly) return;
      let flow = store.get();
      if (edges.length) flow = withoutEdges(flow, edges);
      if (notes.length) flow = withoutNotes(flow, notes);
      if (nodes.length) flow = withoutNodes(flow, nodes);
      edit(flow);
      say("deleted", { count });
    },
    /* The text of what is selected, "" for nothing. */
    copied() {
      const notes = canvas.selectedNotes();
      const ids = store.selection();
      if (!ids.length && !notes.length) return "";
      say("copied", { count: ids.length + notes.length });
      return copiedText(canvas.complete(store.get()), ids, notes);
    },
    paste(text) {
      if (store.isReadOnly) return;
      const made = pasted(canvas.complete(store.get()), text);
      if (!made) {
        say("paste-nothing");
        return;
      }
      edit(made.flow);
      store.select(made.ids);
      if (made.ids.length) canvas.focus(made.ids[0]);
      say("pasted", { count: made.ids.length });
    },
    duplicate() {
      const ids = store.selection();
      if (ids.length || canvas.selectedNotes().length) this.paste(copiedText(canvas.complete(store.get()), ids, canvas.selectedNotes()));
    },
    connect(source, handle, target) {
      const node = nodeOf(store.get(), source);
      const isOnly = handlesOf(node, edgesOf(store.get()).filter((edge) => edge.source === source)).length === 1;
      edit(withEdge(canvas.complete(store.get()), source, isOnly ? undefined : handle, target));
      say("connected", { source, target });
    },
    disconnect(edge) {
      edit(withoutEdges(store.get(), [edge]));
      say("deleted", { count: 1 });
    },
    selectAll() {
      store.select((store.get().nodes ?? []).map((node) => node?.id));
    },
  };
}
