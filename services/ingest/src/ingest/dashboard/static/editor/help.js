/* The list of the keys of the editor. */

import { element } from "editor/elements";

const KEYS = [
  [["Tab"], "key-tab"],
  [["Enter"], "key-select"],
  [["↑", "↓", "←", "→"], "key-move"],
  [["Delete"], "key-delete"],
  [["Ctrl", "Z"], "key-undo"],
  [["Ctrl", "Shift", "Z"], "key-redo"],
  [["Ctrl", "C"], "key-copy"],
  [["Ctrl", "V"], "key-paste"],
  [["Ctrl", "D"], "key-duplicate"],
  [["Ctrl", "A"], "key-all"],
  [["Ctrl", "F"], "key-find"],
  [["A"], "key-add"],
  [["C"], "key-connect"],
  [["F"], "key-fit"],
  [["+", "−"], "key-zoom"],
  [["Esc"], "key-leave"],
];

export function createHelp({ texts }) {
  const rows = KEYS.map(([keys, name]) => element("tr", {}, element("td", {}, ...keys.flatMap((key) => [element("kbd", {}, key), " "])), element("td", {}, texts[`editor.${name}`])));
  const dialog = element(
    "dialog",
    { className: "editor-help", "aria-labelledby": "editor-help-title" },
    element("h2", { id: "editor-help-title" }, texts["editor.help-title"]),
    element("table", {}, element("tbody", {}, ...rows)),
    element("p", { className: "muted" }, texts["editor.help-hint"]),
    element("form", { method: "dialog" }, element("button", {}, texts["editor.close"])),
  );
  document.body.append(dialog);
  return () => dialog.showModal();
}
