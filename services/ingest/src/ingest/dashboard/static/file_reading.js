/* Reads a chosen file into the text field whose id is in `data-file-into`. The field itself works without this file. */
(() => {
  "use strict";

  const MAX_BYTES = 4 * 1024 * 1024;

  for (const input of document.querySelectorAll("input[type=file][data-file-into]")) {
    const place = input.closest("[data-file]");
    const state = place.querySelector("[data-file-state]");
    place.hidden = false;
    input.addEventListener("change", async () => {
      const file = input.files[0];
      if (!file) return;
      const isTooLarge = file.size > MAX_BYTES;
      state.textContent = isTooLarge ? input.dataset.tooLarge : file.name;
      if (!isTooLarge) document.getElementById(input.dataset.fileInto).value = await file.text();
    });
  }
})();
