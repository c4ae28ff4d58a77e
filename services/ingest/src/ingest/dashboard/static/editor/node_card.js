/* The card of a node on the canvas, and a note. One component draws all types. */

import { format } from "editor/elements";
import { handleName, iconOf, nameOf, summaryOf } from "editor/node_types";

const { createElement: h, memo, useEffect } = window.React;
const { Handle, Position, useUpdateNodeInternals } = window.ReactFlow;

function Icon({ sprite, name }) {
  return sprite ? h("svg", { className: "icon", "aria-hidden": true }, h("use", { href: `${sprite}#icon-${name}` })) : null;
}

/* Shape, word and colour of the problems of a node. */
function Problems({ errors, warnings, texts }) {
  if (!errors && !warnings) return null;
  const [css, shape, text, count] = errors ? ["dead", "✕", "editor.error-count", errors] : ["failed", "!", "editor.warning-count", warnings];
  return h("span", { className: `card-problems ${css}` }, h("span", { "aria-hidden": true }, shape), " ", format(texts[text], { count }));
}

function Output({ name, word, isReadOnly }) {
  return h("div", { className: "card-output" }, h("span", null, word), h(Handle, { type: "source", position: Position.Right, id: name, isConnectable: !isReadOnly }));
}

export const NodeCard = memo(({ id, data, selected }) => {
  const { node, handles, errors, warnings, hasInput, isTaken, shared } = data;
  const { texts, icons, isReadOnly } = shared;
  const update = useUpdateNodeInternals();
  const listed = handles.join("\n");
  /* React Flow reads the places of the handles from the page, and must be notified when they move. */
  useEffect(() => update(id), [id, listed, errors, warnings, update]);
  const type = texts[`editor.type-${node.type}`] ?? node.type;
  const name = nameOf(node);
  const state = errors ? " card-dead" : warnings ? " card-failed" : "";
  return h(
    "div",
    { className: `card${selected ? " card-selected" : ""}${isTaken ? " card-taken" : ""}${state}`, "data-node": id },
    h("div", { className: "card-head" }, h(Icon, { sprite: icons, name: iconOf(node) }), h("span", { className: "card-name", dir: "auto" }, name)),
    h("div", { className: "card-type" }, type, name === id ? null : h("span", { className: "mono" }, ` ${id}`)),
    summaryOf(node) ? h("div", { className: "card-summary", dir: "auto" }, summaryOf(node)) : null,
    h(Problems, { errors, warnings, texts }),
    hasInput ? h(Handle, { type: "target", position: Position.Left, isConnectable: !isReadOnly }) : null,
    handles.length === 1
      ? h(Handle, { type: "source", position: Position.Right, id: handles[0], isConnectable: !isReadOnly })
      : handles.map((handle) => h(Output, { key: handle, name: handle, word: handleName(node, handle, texts), isReadOnly })),
  );
});

export const NoteCard = memo(({ data }) => {
  const { note, shared } = data;
  return h("textarea", {
    className: "note nodrag nowheel",
    value: typeof note.text === "string" ? note.text : "",
    readOnly: shared.isReadOnly,
    maxLength: 5000,
    dir: "auto",
    "aria-label": shared.texts["editor.note-text"],
    onChange: (event) => shared.setNote(note.id, event.target.value),
  });
});
