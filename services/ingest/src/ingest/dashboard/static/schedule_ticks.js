/* Shows the next ticks of a schedule while its form is edited. The server calculates them from what the form has. */
(() => {
  "use strict";
  const place = document.querySelector("[data-ticks]");
  const form = document.getElementById("definition");
  if (!place || !(form instanceof HTMLFormElement)) return;
  const PAUSE_MS = 400;
  let timer = 0;
  let running = null;

  async function show() {
    running?.abort();
    running = new AbortController();
    const body = new URLSearchParams(new FormData(form));
    try {
      const answer = await fetch(place.dataset.ticks, { method: "POST", body, signal: running.signal });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      place.replaceChildren(...page.body.childNodes);
    } catch (error) {
      if (error.name !== "AbortError") console.warn(error);
    }
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(show, PAUSE_MS);
  }

  form.addEventListener("input", later);
  form.addEventListener("change", later);
  for (const button of form.querySelectorAll("[data-ticks-button]")) button.hidden = true;
})();
