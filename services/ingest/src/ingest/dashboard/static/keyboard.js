/* Keyboard shortcuts. An element states its own shortcut, so this file knows no page:

   | attribute | meaning |
   |---|---|
   | data-shortcut="o" | a link or button that this key activates; a field gets the focus |
   | data-shortcut="g o" | the same for two keys, one after the other |
   | data-row, data-row-href | a row of a list; j and k go to its first link, x ticks its box; its own r and e come first |
   | data-shortcuts-switch, body data-shortcuts | switches the shortcuts off |

   Nothing happens while a field has the focus, except that Escape leaves it. */
(() => {
  "use strict";

  const YEAR_S = 365 * 86400;
  const ROWS = "[data-row], [data-row-href]";
  const SEQUENCE_MS = 1500;
  const help = document.getElementById("shortcuts");
  const toggles = document.querySelectorAll("[data-shortcuts-switch]");
  let prefix = "";
  let prefixTimer = 0;

  function isOn() {
    return document.body.dataset.shortcuts !== "off";
  }

  for (const toggle of toggles) {
    toggle.checked = isOn();
    toggle.addEventListener("change", () => {
      const choice = toggle.checked ? "on" : "off";
      document.body.dataset.shortcuts = choice;
      document.cookie = `filas-shortcuts=${choice}; path=/dashboard; max-age=${YEAR_S}; samesite=lax`;
    });
  }

  function isTyping(target) {
    return target instanceof Element && Boolean(target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]"));
  }

  function rows() {
    return [...document.querySelectorAll(ROWS)].filter((row) => row.offsetParent !== null);
  }

  function currentRow() {
    return document.activeElement?.closest(ROWS);
  }

  function move(step) {
    const all = rows();
    if (!all.length) return false;
    const at = all.indexOf(currentRow());
    const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1)];
    const link = next.querySelector("a[href], button");
    if (!link) return false;
    link.focus();
    next.scrollIntoView({ block: "nearest" });
    return true;
  }

  function select() {
    const box = currentRow()?.querySelector("input[type=checkbox]");
    if (!box) return false;
    box.click();
    return true;
  }

  function activate(shortcut) {
    const named = `[data-shortcut="${CSS.escape(shortcut)}"]`;
    /* A row's own action comes before the page's. */
    const found = [currentRow()?.querySelector(named), ...document.querySelectorAll(named)];
    const element = found.find((one) => one && !one.disabled && !one.closest("[hidden]"));
    if (!element) return false;
    if (isTyping(element)) {
      element.focus();
      element.select?.();
    } else {
      element.click();
    }
    return true;
  }

  function showHelp() {
    if (!help || help.open) return false;
    help.showModal();
    return true;
  }

  function leave() {
    if (document.querySelector("dialog[open]")) return false; /* The browser closes it. */
    const details = document.querySelector("details[data-menu][open]");
    if (details) {
      details.open = false;
      details.querySelector("summary")?.focus();
      return true;
    }
    if (document.activeElement && document.activeElement !== document.body) {
      document.activeElement.blur();
      return true;
    }
    return false;
  }

  function clearPrefix() {
    clearTimeout(prefixTimer);
    prefix = "";
  }

  function handle(key) {
    if (prefix) {
      const shortcut = `${prefix} ${key}`;
      clearPrefix();
      return activate(shortcut);
    }
    if (document.querySelector(`[data-shortcut^="${CSS.escape(key)} "]`)) {
      prefix = key;
      prefixTimer = setTimeout(clearPrefix, SEQUENCE_MS);
      return true;
    }
    if (key === "?") return showHelp();
    if (key === "j") return move(1);
    if (key === "k") return move(-1);
    if (key === "x") return select();
    return activate(key);
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      clearPrefix();
      if (leave()) event.preventDefault();
      return;
    }
    if (event.key.length !== 1 || event.key === " " || event.repeat && !"jk".includes(event.key)) return;
    if (!isOn() || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    if (handle(event.key)) event.preventDefault();
  });

  /* The row in which the focus is looks like the current one. */
  document.addEventListener("focusin", () => {
    const current = currentRow();
    for (const row of document.querySelectorAll(`:is(${ROWS})[aria-current]`)) {
      if (row !== current) row.removeAttribute("aria-current");
    }
    current?.setAttribute("aria-current", "true");
  });

  for (const opener of document.querySelectorAll("[data-shortcuts-help]")) opener.hidden = !help;
  document.addEventListener("click", (event) => {
    const opener = event.target instanceof Element && event.target.closest("[data-shortcuts-help]");
    if (opener && showHelp()) event.preventDefault();
  });
})();
