/* The name of the flow, and the id of a new one. */

import { element } from "editor/elements";

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/* An id made of a name: "Menu de Atenção!" is menu-de-atencao. */
export function idOf(name) {
  const plain = name.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 64);
}

export function createNaming(root, { store, texts, isNew, onId }) {
  const name = element("input", { id: "flow-name", maxLength: 200, readOnly: store.isReadOnly, dir: "auto", autocomplete: "off", placeholder: texts["editor.name"] });
  const id = element("input", { id: "flow-id", className: "mono", maxLength: 128, autocomplete: "off", spellcheck: false });
  const idLabel = element("label", { hidden: !isNew }, texts["editor.id"], id);
  let isOwnId = false;

  function show() {
    const text = typeof store.get().name === "string" ? store.get().name : "";
    if (name.value !== text) name.value = text;
    if (isNew && !isOwnId) id.value = idOf(text);
    if (isNew && ![name, id].includes(document.activeElement)) report();
  }
  let reported = null;
  function report() {
    const isValid = ID.test(id.value) && id.value !== "new";
    id.setAttribute("aria-invalid", String(Boolean(id.value) && !isValid));
    const valid = isValid ? id.value : "";
    if (valid !== reported) onId(valid);
    reported = valid;
  }
  name.addEventListener("input", () => store.set({ ...store.get(), name: name.value }, { origin: "canvas", merge: "name" }));
  id.addEventListener("input", () => {
    isOwnId = id.value !== "";
  });
  /* Not while it is typed: the id is that of the whole name. */
  for (const field of [name, id]) field.addEventListener("change", () => isNew && report());
  store.subscribe(show);
  root.append(element("label", {}, texts["editor.name"], name), idLabel);
  show();
  return {
    report,
    /* The id is fixed from now on. */
    fixed() {
      isNew = false;
      idLabel.hidden = true;
    },
  };
}
