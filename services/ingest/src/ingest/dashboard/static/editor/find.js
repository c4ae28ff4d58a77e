/* Finds nodes by id, label and every text of their data, and centres the match. */

import { nodesOf } from "editor/edits";
import { element, format } from "editor/elements";

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

function textsOf(value, depth = 0) {
  if (typeof value === "string" || typeof value === "number") return [String(value)];
  if (typeof value !== "object" || value === null || depth > 30) return [];
  return Object.values(value).flatMap((item) => textsOf(item, depth + 1));
}

/* The ids of the nodes that contain a text, whatever its case and accents: matches of id and label first. */
export function found(flow, wanted, texts) {
  const text = plain(wanted.trim());
  if (!text) return [];
  const inName = [];
  const inText = [];
  for (const node of nodesOf(flow)) {
    const names = [node.id, node.data?.label, texts[`editor.type-${node.type}`]].filter((one) => typeof one === "string");
    if (names.some((one) => plain(one).includes(text))) inName.push(node.id);
    else if (textsOf(node.data).some((one) => plain(one).includes(text))) inText.push(node.id);
  }
  return [...inName, ...inText];
}

export function createFind(root, { store, texts, canvas }) {
  let at = -1;
  const result = element("span", { className: "muted", role: "status" });
  const field = element("input", {
    type: "search",
    id: "find-node",
    maxLength: 200,
    autocomplete: "off",
    placeholder: texts["editor.find"],
    "aria-label": texts["editor.find"],
    title: texts["editor.find-hint"],
    dir: "auto",
    oninput: () => go(0, true),
    onkeydown: (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      go(event.shiftKey ? -1 : 1, false);
    },
  });

  /* While it is typed, the first match is shown. Enter goes to the next one. */
  function go(step, isFirst) {
    const ids = found(store.get(), field.value, texts);
    if (!ids.length) {
      at = -1;
      result.textContent = field.value.trim() ? texts["editor.find-none"] : "";
      return;
    }
    at = isFirst ? 0 : (at + step + ids.length) % ids.length;
    result.textContent = format(texts["editor.find-found"], { at: at + 1, count: ids.length });
    canvas.show(ids[at], { isFocused: false });
  }

  root.append(element("span", { className: "editor-find" }, field, result));
  return { focus: () => (field.focus(), field.select()) };
}
