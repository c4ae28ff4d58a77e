/* The JSON of the flow as text. */

export function createJsonPanel(root, { store, texts }) {
  const field = document.createElement("textarea");
  field.setAttribute("aria-label", texts["editor.json"]);
  field.readOnly = store.isReadOnly;
  const show = () => {
    if (document.activeElement !== field) field.value = JSON.stringify(store.get(), null, 2);
  };
  field.addEventListener("input", () => {
    try {
      store.set(JSON.parse(field.value), { origin: "json" });
    } catch {
      /* Unfinished. */
    }
  });
  store.subscribe(show);
  root.append(field);
  show();
}
