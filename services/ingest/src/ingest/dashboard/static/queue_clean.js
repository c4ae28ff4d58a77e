/* Removes the records of finished jobs in short requests, shows how far it is, and stops when the reader asks.

   | attribute | meaning |
   |---|---|
   | form data-clean | the form; its answer has the cursor with which the next request continues |
   | data-clean-progress data-running data-done data-stopped data-failed | shows the progress; its button stops */
(() => {
  "use strict";

  const form = document.querySelector("form[data-clean]");
  const shown = document.querySelector("[data-clean-progress]");
  if (!form || !shown) return;
  const bar = shown.querySelector("progress");
  const status = shown.querySelector("[role=status]");
  const stop = shown.querySelector("button");
  const submit = form.querySelector("button");
  let isStopped = false;

  function show(state, values) {
    const language = document.documentElement.lang;
    status.textContent = shown.dataset[state].replace(/\{(\w+)\}/g, (whole, name) => {
      if (!(name in values)) return whole;
      return typeof values[name] === "number" ? values[name].toLocaleString(language) : values[name];
    });
    shown.dataset.state = state;
  }

  /* Returns the answer of one request. Throws the reason why there is none. */
  async function step(fields) {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(fields),
    });
    const type = answer.headers.get("Content-Type") || "";
    const found = type.startsWith("application/json") ? await answer.json() : { title: String(answer.status) };
    if (!answer.ok) throw new Error(found.detail || found.title);
    return found;
  }

  async function clean() {
    const fields = Object.fromEntries(new FormData(form));
    let removed = 0;
    isStopped = false;
    submit.disabled = true;
    stop.hidden = false;
    shown.hidden = false;
    bar.removeAttribute("value");
    try {
      while (!isStopped) {
        const found = await step(fields);
        removed += found.removed;
        bar.max = found.lists;
        bar.value = found.doneLists;
        if (found.nextCursor === null) {
          show("done", { removed });
          return;
        }
        fields.cursor = found.nextCursor;
        show("running", { removed, done: found.doneLists, lists: found.lists });
      }
      show("stopped", { removed });
    } catch (error) {
      show("failed", { removed, reason: error.message });
    } finally {
      stop.hidden = true;
      submit.disabled = false;
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clean();
  });
  stop.addEventListener("click", () => {
    isStopped = true;
  });
})();
