/* Keeps a page up to date: receives the regions that changed (server-sent events) and morphs them into the page.

   | attribute | meaning |
   |---|---|
   | body data-live | the address of the page's stream; missing if nothing on it is live |
   | body data-at | the moment that the page shows (Unix ms) |
   | data-region | an element with an id whose content the stream replaces; "rows": a list of rows, see updateRows |
   | data-new-for data-one data-many | the button that offers the new rows of a region; {n} is their number |
   | data-live-state data-text-STATE | shows the state of the stream |
   | form data-freeze | freezes and continues the stream. With the value "here", the moment is not stored |

   live.js dispatches `filas:updated` on each region that it has changed. */
(() => {
  "use strict";

  const FIRST_RETRY_MS = 1000;
  const LONGEST_RETRY_MS = 30000;
  /* The server sends something every 10 s. */
  const SILENCE_MS = 35000;
  const WATCH_MS = 5000;
  const RENEW_MS = 3600000;

  const body = document.body;
  const url = body.dataset.live;
  const stateElement = document.querySelector("[data-live-state]");
  const freezeForm = document.querySelector("form[data-freeze]");

  /* ---- Text ------------------------------------------------------------------------------------------------ */

  const zone = body.dataset.zone;
  let clockFormat;
  try {
    clockFormat = new Intl.DateTimeFormat(document.documentElement.lang || "en", {
      timeStyle: "medium",
      timeZone: zone || undefined,
    });
  } catch {
    clockFormat = new Intl.DateTimeFormat("en", { timeStyle: "medium" });
  }

  function filled(text, values) {
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  }

  /* Each state is announced once, not at each message. */
  function showState(state, values = {}) {
    if (!stateElement) return;
    const text = filled(stateElement.getAttribute(`data-text-${state}`) || "", values);
    if (stateElement.dataset.state !== state) stateElement.dataset.state = state;
    const label = stateElement.querySelector("[data-label]") || stateElement;
    if (label.textContent !== text) label.textContent = text;
    stateElement.hidden = false;
  }

  function clockTime(ms) {
    return ms ? clockFormat.format(new Date(ms)) : "–";
  }

  /* ---- Regions --------------------------------------------------------------------------------------------- */

  /* What the reader has changed stays: opened details, ticked boxes, text that was typed. */
  function isReaders(name, element) {
    if (name === "open") return element.matches("details, dialog");
    if (name === "checked") return element.matches("input");
    if (name === "value") return element.matches("input, textarea") && element.value !== element.defaultValue;
    return false;
  }

  const morphing = {
    ignoreActiveValue: true,
    restoreFocus: true,
    callbacks: { beforeAttributeUpdated: (name, element) => !isReaders(name, element) },
  };

  function parsed(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return withToken(template.content);
  }

  function replaceContent(region, content) {
    if (window.Idiomorph) {
      window.Idiomorph.morph(region, [...content.childNodes], { ...morphing, morphStyle: "innerHTML" });
    } else {
      keepingState(region, () => region.replaceChildren(content));
    }
  }

  function replaceRow(row, fresh) {
    if (row.isEqualNode(fresh)) return;
    if (window.Idiomorph) {
      window.Idiomorph.morph(row, fresh, { ...morphing, morphStyle: "outerHTML" });
    } else {
      keepingState(row.parentElement, () => row.replaceWith(fresh));
    }
  }

  /* Without idiomorph: elements with an id keep their focus, and what the reader has changed. */
  function keepingState(region, change) {
    const focused = region.contains(document.activeElement) ? document.activeElement.id : "";
    const states = new Map();
    for (const element of region.querySelectorAll("input[id], textarea[id], details[id]")) {
      const { checked, open, value } = element;
      states.set(element.id, { checked, open, value: isReaders("value", element) ? value : undefined });
    }
    change();
    for (const [id, state] of states) {
      const element = document.getElementById(id);
      if (!element) continue;
      if (element.matches("details")) element.open = state.open;
      else if (state.value !== undefined) element.value = state.value;
      if ("checked" in element) element.checked = state.checked;
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  /* A page is rendered once for many readers, so the forms in it have no token. */
  const token = document.querySelector("input[name=csrf]")?.value;

  function withToken(content) {
    for (const field of content.querySelectorAll("input[name=csrf]")) field.setAttribute("value", token);
    return content;
  }

  /* Rows must not move under the pointer, so new ones wait until the reader asks for them. */
  const ROWS = "[data-row], [data-row-href]";
  const waitingRows = new Map();

  function keyOf(row) {
    return row.id || row.dataset.rowHref || row.querySelector("a[href]")?.getAttribute("href");
  }

  function updateRows(region, html) {
    const button = document.querySelector(`[data-new-for="${CSS.escape(region.id)}"]`);
    const content = parsed(html);
    const incoming = [...content.querySelectorAll(ROWS)];
    const present = new Map([...region.querySelectorAll(ROWS)].map((row) => [keyOf(row), row]));
    if (!button || !present.size) {
      replaceContent(region, content);
      return;
    }
    const fresh = incoming.filter((row) => !present.has(keyOf(row)));
    const last = incoming.findLastIndex((row) => present.has(keyOf(row)));
    for (const row of incoming) {
      if (present.has(keyOf(row))) replaceRow(present.get(keyOf(row)), row.cloneNode(true));
    }
    markGone(present, incoming, last);
    waitingRows.set(region.id, html);
    offerRows(button, fresh.length, fresh.length > 0 && fresh.length === incoming.length);
  }

  /* A row that no longer matches the filter stays where it is, and looks outdated. Rows after the last one that both
     have are on the next page now. */
  function markGone(present, incoming, last) {
    if (last < 0) return;
    const keys = [...present.keys()];
    const end = keys.indexOf(keyOf(incoming[last]));
    const kept = new Set(incoming.map(keyOf));
    keys.forEach((key, index) => present.get(key).classList.toggle("row-outdated", index < end && !kept.has(key)));
  }

  function offerRows(button, count, isMore) {
    button.hidden = count === 0;
    if (!count) return;
    const text = count === 1 ? button.dataset.one : button.dataset.many;
    const shown = filled(text || "{n}", { n: isMore ? `${count}+` : count });
    if (button.textContent !== shown) button.textContent = shown;
  }

  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-new-for]");
    if (!button) return;
    const region = document.getElementById(button.dataset.newFor);
    const html = waitingRows.get(button.dataset.newFor);
    if (!region || html === undefined) return;
    event.preventDefault();
    replaceContent(region, parsed(html));
    button.hidden = true;
    announce(region);
    region.querySelector(ROWS)?.querySelector("a[href]")?.focus();
  });

  /* Text that is being selected must not change until it is copied. */
  const postponed = new Map();

  function isBeingSelected(region) {
    const selection = document.getSelection();
    return Boolean(selection && !selection.isCollapsed && selection.rangeCount && selection.containsNode(region, true));
  }

  function announce(region) {
    region.dispatchEvent(new CustomEvent("filas:updated", { bubbles: true }));
  }

  function apply(regions) {
    for (const [id, html] of [...postponed, ...Object.entries(regions)]) {
      const region = document.getElementById(id);
      if (!region || !region.hasAttribute("data-region")) continue;
      if (isBeingSelected(region)) {
        postponed.set(id, html);
        continue;
      }
      if (id in regions && regions[id] !== html) continue;
      postponed.delete(id);
      if (region.dataset.region === "rows") updateRows(region, html);
      else replaceContent(region, parsed(html));
      announce(region);
    }
  }

  /* ---- The stream ------------------------------------------------------------------------------------------ */

  let source = null;
  let failures = 0;
  let retryTimer = 0;
  let heardAt = 0;
  let shownAt = Number(body.dataset.at) || 0;
  let frozen = false;
  let ended = false;

  function close() {
    clearTimeout(retryTimer);
    if (source) source.close();
    source = null;
  }

  function open() {
    if (!url || source || frozen || ended || document.hidden) return;
    clearTimeout(retryTimer);
    if (!failures) showState("connecting");
    heardAt = Date.now();
    source = new EventSource(url);
    source.addEventListener("regions", (event) => {
      const message = JSON.parse(event.data);
      received();
      shownAt = message.at;
      if (message.missing) showState("missing", { store: message.missing, time: clockTime(message.since) });
      else showState("live");
      apply(message.regions);
    });
    source.addEventListener("beat", received);
    source.addEventListener("end", (event) => {
      close();
      /* The session of the stream has ended. That of the page may have been renewed since. */
      if (event.data === "signed-out") checkSession();
      retry();
    });
    source.addEventListener("error", () => {
      /* The browser's own way to connect again does not wait longer each time, and gives up after an error status. */
      close();
      retry();
    });
  }

  function received() {
    heardAt = Date.now();
    failures = 0;
  }

  /* An EventSource does not report the status of an answer. This request also renews the session. */
  async function checkSession() {
    const answer = await fetch(url, { method: "HEAD" }).catch(() => null);
    if (answer?.status !== 401) return;
    close();
    ended = true;
    showState("ended");
  }

  setInterval(() => {
    if (source) checkSession();
  }, RENEW_MS);

  function retry() {
    failures += 1;
    if (failures === 2) checkSession();
    if (failures > 1) showState(failures > 5 ? "full" : "lost", { time: clockTime(shownAt) });
    const wait = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LONGEST_RETRY_MS);
    retryTimer = setTimeout(open, wait * (0.5 + Math.random() / 2));
  }

  function reopen() {
    close();
    failures = 0;
    open();
  }

  /* A lost network does not close a connection. */
  setInterval(() => {
    if (source && Date.now() - heardAt > SILENCE_MS) {
      close();
      retry();
    }
  }, WATCH_MS);

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  window.addEventListener("online", reopen);

  /* ---- Freeze ---------------------------------------------------------------------------------------------- */

  function pageUrl(at) {
    const address = new URL(location.href);
    if (at) address.searchParams.set("at", String(at));
    else address.searchParams.delete("at");
    return address;
  }

  function showFrozen(state) {
    const button = freezeForm.querySelector("button");
    if (button) {
      button.setAttribute("aria-pressed", String(frozen));
      const label = button.querySelector("[data-label]") || button;
      const text = frozen ? button.dataset.continueText : button.dataset.freezeText;
      if (text) label.textContent = text;
    }
    if (frozen) showState(state, { time: clockTime(shownAt) });
  }

  async function freeze() {
    frozen = true;
    close();
    showFrozen(freezeForm.dataset.freeze === "here" ? "held" : "frozen");
    if (freezeForm.dataset.freeze === "here") return;
    const fields = new URLSearchParams(new FormData(freezeForm));
    fields.set("at", String(shownAt));
    try {
      const answer = await fetch(freezeForm.action, {
        method: "POST",
        body: fields,
        headers: { Accept: "application/json" },
        redirect: "error",
      });
      if (!answer.ok) throw new Error(String(answer.status));
      const { at } = await answer.json();
      if (frozen) history.replaceState(null, "", pageUrl(at));
    } catch {
      /* The page is frozen all the same, but its address cannot be sent to anyone. */
      if (frozen) showFrozen("held");
    }
  }

  function proceed() {
    frozen = false;
    history.replaceState(null, "", pageUrl(0));
    showFrozen("live");
    reopen();
  }

  if (freezeForm && url) {
    freezeForm.hidden = false;
    freezeForm.addEventListener("submit", (event) => {
      event.preventDefault();
      if (frozen) proceed();
      else freeze();
    });
  }

  open();
})();
