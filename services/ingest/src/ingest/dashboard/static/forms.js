/* Forms for definitions: adds rows in place, and shows the form again when another type is chosen.

   | attribute | meaning |
   |---|---|
   | data-rows-of="PATH" | contains the rows of a field, each a `data-row` |
   | data-add-row="PATH" | the button that adds a row; without this file, the server does |
   | select data-renews | other fields depend on it; the button `data-again` beside it is pressed for it |

   The names of the inputs contain the number of their row: `to[0].channel`. */
(() => {
  "use strict";

  /* The number of a row is the first one after the path. */
  function renumbered(text, path, number) {
    return text.startsWith(path) ? path + text.slice(path.length).replace(/\d+/, String(number)) : text;
  }

  function htmlId(path) {
    return "field-" + path.replaceAll("[", "-").replaceAll("]", "").replaceAll(".", "-");
  }

  function addRow(form, path) {
    const list = form.querySelector(`[data-rows-of="${CSS.escape(path)}"]`);
    const last = list?.querySelector("[data-row]:last-child");
    if (!last) return false;
    const number = list.querySelectorAll("[data-row]").length;
    const row = last.cloneNode(true);
    for (const note of row.querySelectorAll(".field-error, .field-note, .remove, datalist")) note.remove();
    for (const element of row.querySelectorAll("[id], [for], [name]")) {
      if (element.id) element.id = renumbered(element.id, htmlId(path), number);
      if (element.htmlFor) element.htmlFor = renumbered(element.htmlFor, htmlId(path), number);
      if (element.name) element.name = renumbered(element.name, path, number);
    }
    for (const input of row.querySelectorAll("input, textarea")) {
      if (input.type === "checkbox") input.checked = false;
      else input.value = input.defaultValue = "";
      if (input.type === "password") input.placeholder = "";
      input.removeAttribute("aria-invalid");
      input.removeAttribute("aria-describedby");
      const label = input.getAttribute("aria-label");
      if (label) input.setAttribute("aria-label", label.replace(/\d+$/, String(number + 1)));
    }
    for (const hidden of row.querySelectorAll("label > .hidden")) hidden.textContent = `${number + 1}: `;
    list.append(row);
    row.querySelector("input, select, textarea")?.focus();
    return true;
  }

  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-add-row]");
    if (button && addRow(button.form, button.dataset.addRow)) event.preventDefault();
  });

  document.addEventListener("change", (event) => {
    if (!(event.target instanceof Element) || !event.target.matches("select[data-renews]")) return;
    const button = event.target.parentElement.querySelector("[data-again]");
    if (button) event.target.form.requestSubmit(button);
  });

  for (const button of document.querySelectorAll("[data-again]")) button.classList.add("hidden");
})();
