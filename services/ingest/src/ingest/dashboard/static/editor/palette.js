/* The palette: the node types with a sentence each. A type is dragged onto the canvas, or pressed. */

import { DRAGGED_TYPE } from "editor/canvas";
import { element, icon } from "editor/elements";
import { NODE_TYPES } from "editor/node_types";

export function createPalette(root, { texts, icons, addNode }) {
  const items = Object.entries(NODE_TYPES).map(([type, { icon: name }]) =>
    element(
      "li",
      {},
      element(
        "button",
        {
          type: "button",
          className: "palette-type",
          draggable: true,
          "data-type": type,
          onclick: () => addNode(type),
          ondragstart: (event) => {
            event.dataTransfer.setData(DRAGGED_TYPE, type);
            event.dataTransfer.effectAllowed = "copy";
          },
        },
        element("span", { className: "palette-name" }, icon(icons, name), " ", texts[`editor.type-${type}`]),
        element("span", { className: "palette-about" }, texts[`editor.about-${type}`]),
      ),
    ),
  );
  root.append(
    element("h2", {}, texts["editor.palette"]),
    element("p", { className: "muted" }, texts["editor.palette-hint"]),
    element("ul", { className: "palette-types" }, ...items),
  );
}
