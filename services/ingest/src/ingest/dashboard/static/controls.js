/* Small controls of every page: copy buttons, times that stay relative, the theme, and the browser's time zone.

   | attribute | meaning |
   |---|---|
   | data-copy="TEXT" | a button that copies the text; hidden without this file |
   | data-copy-from | the same for the text of the payload that the button belongs to |
   | time without data-absolute | its text is kept up to date: "3 minutes ago" |
   | select name="theme" | sets the theme at once |

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
    field.className = "hidden";
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
    const text = button.dataset.copy ?? button.closest("figure, div")?.querySelector("pre")?.textContent ?? "";
    if (!(await copy(text))) return;
    button.dataset.copied = "";
    const status = document.getElementById("announcements");
    if (status) status.textContent = document.body.dataset.copied || "";
    setTimeout(() => delete button.dataset.copied, DONE_MS);
  }

  function showCopyButtons(part) {
    for (const button of part.querySelectorAll("[data-copy][hidden], [data-copy-from][hidden]")) button.hidden = false;
  }

  /* ---- Times ----------------------------------------------------------------------------------------------- */

  /* The same steps as those of the server (Babel's format_timedelta): a unit is used from 1.2 of it. */
  const UNITS = [
    ["year", YEAR_S],
    ["month", 30 * 24 * 3600],
    ["week", 7 * 24 * 3600],
    ["day", 24 * 3600],
    ["hour", 3600],
    ["minute", 60],
    ["second", 1],
  ];
  const THRESHOLD = 1.2;
  let relative = null;
  try {
    relative = new Intl.RelativeTimeFormat(root.lang || "en", { numeric: "always" });
  } catch {
    /* The times stay as the server has written them. */
  }

  function relativeText(seconds) {
    const span = Math.abs(seconds);
    const [unit, length] = UNITS.find(([, one]) => span / one >= THRESHOLD) || UNITS.at(-1);
    const value = Math.max(Math.round(span / length), 1);
    return relative.format(seconds < 0 ? -value : value, unit);
  }

  function refreshTimes() {
    if (document.hidden || !relative) return;
    for (const element of document.querySelectorAll("time[datetime]:not([data-absolute])")) {
      const seconds = (Date.parse(element.dateTime) - Date.now()) / 1000;
      /* The server writes "now" for a second. */
      if (Number.isNaN(seconds) || Math.abs(seconds) < 1) continue;
      const text = relativeText(seconds);
      if (element.textContent !== text) element.textContent = text;
    }
  }

  /* ---- Preferences ----------------------------------------------------------------------------------------- */

  function setCookie(name, value) {
    document.cookie = `${name}=${value}; path=/dashboard; max-age=${YEAR_S}; samesite=lax`;
  }

  function setTheme(choice) {
    setCookie("filas-theme", choice);
    if (choice === "auto") delete root.dataset.theme;
    else root.dataset.theme = choice;
  }

  /* Without a choice, the next page shows times in the zone of the browser. The form offers it at once. */
  function offerZone() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!zone || !/^[A-Za-z0-9_+\/-]{1,64}$/.test(zone)) return;
    if (!/(^|; )filas-zone=/.test(document.cookie)) setCookie("filas-zone", zone);
    const select = document.querySelector("select[name=zone]");
    if (!select || [...select.options].some((option) => option.value === zone)) return;
    select.append(new Option(zone, zone));
  }

  /* ---- Events ---------------------------------------------------------------------------------------------- */

  document.addEventListener("click", (event) => {
    const copier = event.target instanceof Element && event.target.closest("[data-copy], [data-copy-from]");
    if (!copier) return;
    event.preventDefault();
    copyFrom(copier);
  });

  document.addEventListener("change", (event) => {
    if (event.target instanceof Element && event.target.matches("select[name=theme]")) setTheme(event.target.value);
  });

  document.addEventListener("filas:updated", (event) => {
    showCopyButtons(event.target);
    refreshTimes();
  });

  document.addEventListener("visibilitychange", refreshTimes);
  setInterval(refreshTimes, TIMES_EVERY_MS);
  showCopyButtons(document);
  offerZone();
})();
