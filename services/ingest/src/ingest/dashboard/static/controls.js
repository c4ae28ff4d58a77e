/* Small controls of every page: copy buttons, times that stay relative, and the theme.

   | attribute | meaning |
   |---|---|
   | data-copy="TEXT" | a button that copies the text |
   | data-copy-from="ID" | a button that copies the content of an element |
   | data-done | what such a button says after it has copied |
   | time data-relative | its text is kept up to date: "3 minutes ago" |
   | data-theme-choice="light" | a button of a form that sets the theme: this file sets it without loading the page |
   | data-confirm="QUESTION" | a button whose form is sent only if the reader agrees |

   Each control works without this file, or is not needed then. */
(() => {
  "use strict";

  const TIMES_EVERY_MS = 10000;
  const DONE_MS = 2000;
  const YEAR_S = 365 * 24 * 3600;
  const root = document.documentElement;

  /* ---- Copy ------------------------------------------------------------------------------------------------ */

  /* navigator.clipboard exists over HTTPS and on this machine only. */
  async function copy(text) {
    if (navigator.clipboard) {
      try {
        await navigator.clipboard.writeText(text);
        return true;
      } catch {
        /* Not permitted: try the older way. */
      }
    }
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "visually-hidden";
    field.setAttribute("aria-hidden", "true");
    document.body.append(field);
    const focused = document.activeElement;
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    focused?.focus({ preventScroll: true });
    return copied;
  }

  async function copyFrom(button) {
    const source = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
    const text = source ? (source.value ?? source.textContent) : button.dataset.copy || "";
    if (!(await copy(text))) return;
    button.dataset.copied = "";
    const status = document.getElementById("announcements");
    if (status) status.textContent = button.dataset.done || "";
    setTimeout(() => delete button.dataset.copied, DONE_MS);
  }

  /* ---- Times ----------------------------------------------------------------------------------------------- */

  /* The same steps as those of the server (Babel's format_timedelta): a unit is used from 0.85 of it. */
  const UNITS = [
    ["year", YEAR_S],
    ["month", YEAR_S / 12],
    ["week", 7 * 24 * 3600],
    ["day", 24 * 3600],
    ["hour", 3600],
    ["minute", 60],
    ["second", 1],
  ];
  const THRESHOLD = 0.85;
  let relative = null;
  try {
    relative = new Intl.RelativeTimeFormat(root.lang || "en", { numeric: "always" });
  } catch {
    /* The times stay as the server has written them. */
  }

  function relativeText(seconds) {
    const [unit, length] = UNITS.find(([, one]) => Math.abs(seconds) / one >= THRESHOLD) || UNITS.at(-1);
    const value = Math.max(Math.round(Math.abs(seconds) / length), unit === "second" ? 0 : 1);
    return relative.format(seconds < 0 ? -value : value, unit);
  }

  function refreshTimes() {
    if (document.hidden || !relative) return;
    for (const element of document.querySelectorAll("time[data-relative][datetime]")) {
      const seconds = (Date.parse(element.dateTime) - Date.now()) / 1000;
      if (Number.isNaN(seconds)) continue;
      const text = relativeText(seconds);
      if (element.textContent !== text) element.textContent = text;
    }
  }

  /* ---- Theme ----------------------------------------------------------------------------------------------- */

  function setTheme(choice) {
    const isDefault = choice === "auto";
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `filas-theme=${choice}; path=/dashboard; max-age=${isDefault ? 0 : YEAR_S}; samesite=lax${secure}`;
    if (isDefault) delete root.dataset.theme;
    else root.dataset.theme = choice;
    for (const one of document.querySelectorAll("[data-theme-choice]")) {
      one.setAttribute("aria-pressed", String(one.dataset.themeChoice === choice));
    }
  }

  /* ---- Events ---------------------------------------------------------------------------------------------- */

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const copier = target?.closest("[data-copy], [data-copy-from]");
    if (copier) {
      event.preventDefault();
      copyFrom(copier);
      return;
    }
    const theme = target?.closest("[data-theme-choice]");
    if (theme) {
      event.preventDefault();
      setTheme(theme.dataset.themeChoice);
      return;
    }
    const asking = target?.closest("[data-confirm]");
    if (asking && !window.confirm(asking.dataset.confirm)) event.preventDefault();
  });

  document.addEventListener("visibilitychange", refreshTimes);
  setInterval(refreshTimes, TIMES_EVERY_MS);
})();
