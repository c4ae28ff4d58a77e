/* The frame of the editor: the tools, the palette, the canvas, and the panels with their tabs. On a narrow screen, the
   palette and the canvas are tabs too. */

import { element, format, icon } from "editor/elements";
import { nodeOf } from "editor/edits";
import { nameOf } from "editor/node_types";

const PANELS = ["node", "json", "test", "problems"];
const NARROW = "(max-width: 900px)";
const PLACES = ["palette", "canvas"];
const STATES = {
  saved: ["✓", "completed"],
  "published-state": ["✓", "completed"],
  "draft-of": ["○", "waiting"],
  saving: ["◐", "active"],
  unsaved: ["○", "waiting"],
  unnamed: ["○", "waiting"],
  taken: ["!", "failed"],
  "save-failed": ["!", "failed"],
  "check-failed": ["!", "failed"],
};

export function createFrame(root, { store, texts, icons }) {
  const tool = (name, image, action) => {
    const label = texts[`editor.${name}`];
    return element("button", { type: "button", className: "quiet", "data-tool": name, title: label, "aria-label": label, onclick: action }, icon(icons, image) ?? label);
  };
  const naming = element("div", { className: "editor-naming" });
  const toolbar = element("div", { className: "editor-tools", role: "group", "aria-label": texts["editor.tools"] });
  const status = element("span", { className: "editor-status muted", role: "status" });
  const finding = element("div", { className: "editor-finding" });
  const publishing = element("div", { className: "editor-publishing" }, status);
  const palette = element("aside", { className: "editor-palette", id: "editor-palette", "aria-label": texts["editor.palette"] });
  const canvas = element("div", { className: "editor-canvas", id: "editor-canvas" });
  const panels = Object.fromEntries(PANELS.map((name) => [name, element("section", { className: "editor-panel", id: `panel-${name}`, role: "tabpanel", "aria-labelledby": `tab-${name}`, tabIndex: 0, hidden: true })]));
  const openers = {};
  let opened = "";

  function open(name) {
    opened = name;
    root.dataset.shown = name;
    for (const each of [...PLACES, ...PANELS]) {
      const tab = tabs.querySelector(`#tab-${each}`);
      tab.setAttribute("aria-selected", String(each === name));
      tab.tabIndex = each === name ? 0 : -1;
      if (panels[each]) panels[each].hidden = each !== name;
    }
    openers[name]?.(panels[name]);
    delete openers[name];
  }

  function moveTab(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1 };
    if (!steps[event.key]) return;
    const shown = [...tabs.children].filter((tab) => tab.offsetParent !== null);
    const next = shown[(shown.indexOf(document.activeElement) + steps[event.key] + shown.length) % shown.length];
    open(next.dataset.panel);
    next.focus();
    event.preventDefault();
  }

  const tabs = element(
    "div",
    { className: "editor-tabs", role: "tablist", "aria-label": texts["editor.panels"], onkeydown: moveTab },
    ...[...PLACES, ...PANELS].map((name) =>
      element(
        "button",
        { type: "button", role: "tab", id: `tab-${name}`, "data-panel": name, className: PLACES.includes(name) ? "narrow-only" : "", "aria-controls": panels[name] ? `panel-${name}` : `editor-${name}`, onclick: () => open(name) },
        texts[PLACES.includes(name) ? `editor.${name}` : `editor.panel-${name}`],
      ),
    ),
  );
  const side = element("div", { className: "editor-side" }, ...Object.values(panels));
  const body = element("div", { className: "editor-body" }, palette, canvas, side);
  root.append(element("div", { className: "editor-bar" }, naming, toolbar, finding, publishing), element("div", { className: "editor-main" }, tabs, body));
  open(window.matchMedia(NARROW).matches ? "canvas" : "node");

  function showProblems() {
    const { problems } = store;
    const tab = tabs.querySelector("#tab-problems");
    tab.textContent = problems.length ? `${texts["editor.panel-problems"]} (${problems.length})` : texts["editor.panel-problems"];
    panels.problems.replaceChildren(problems.length ? element("ul", { className: "findings" }, ...problems.map(problemRow)) : element("p", { className: "muted" }, texts["editor.no-problems"]));
  }

  function problemRow({ severity, nodeId, field, message }) {
    const isWarning = severity === "warning";
    const node = nodeId ? nodeOf(store.get(), nodeId) : undefined;
    const where = node ? element("button", { type: "button", className: "quiet", dir: "auto", onclick: () => frame.show?.(nodeId, field) }, nameOf(node)) : null;
    return element("li", { className: isWarning ? "failed" : "dead" }, element("p", {}, element("strong", {}, isWarning ? "! " : "✕ "), where, field ? element("code", {}, ` ${field}`) : null), element("p", {}, message));
  }

  const frame = {
    palette,
    canvas,
    finding,
    naming,
    /* States what is saved: a text of the catalogue with a shape, a word and a colour. */
    state(name, parameters) {
      const [shape, css] = STATES[name] ?? ["○", "waiting"];
      status.className = `editor-status ${css}`;
      status.textContent = `${shape} ${format(texts[`editor.${name}`], parameters)}`;
    },
    opened: () => opened,
    isNarrow: () => window.matchMedia(NARROW).matches,
    open,
    panel: (name) => panels[name],
    /* Calls `fill` when the panel is opened for the first time. */
    whenOpened(name, fill) {
      if (opened === name) fill(panels[name]);
      else openers[name] = fill;
    },
    /* Adds the tools, which need the canvas. */
    connect({ canvas: view, commands, publish, help }) {
      frame.show = (id, field) => {
        view.show(id, { isFocused: false });
        if (root.dataset.shown === "problems") open("node");
        if (!field || !frame.focusField?.(field)) view.focus(id);
      };
      const undo = tool("undo", "undo-2", store.undo);
      const redo = tool("redo", "redo-2", store.redo);
      const edits = store.isReadOnly
        ? []
        : [undo, redo, tool("lay-out", "network", () => view.arrange()), tool("add-note", "sticky-note", () => commands.addNote()), tool("duplicate", "copy", () => commands.duplicate()), tool("delete", "trash-2", () => commands.remove())];
      const helpTool = tool("help", "keyboard", help);
      toolbar.append(...edits, tool("fit", "maximize", () => view.fit()), tool("zoom-out", "zoom-out", () => view.zoomOut()), tool("zoom-in", "zoom-in", () => view.zoomIn()), helpTool);
      if (!store.isReadOnly) publishing.append(element("button", { type: "button", className: "primary", id: "publish", onclick: publish }, icon(icons, "upload"), " ", texts["editor.publish"]));
      const refresh = () => {
        undo.disabled = !store.canUndo();
        redo.disabled = !store.canRedo();
      };
      store.subscribe((flow, origin) => {
        refresh();
        if (origin === "problems") showProblems();
      });
      refresh();
      showProblems();
    },
  };
  if (store.isReadOnly) status.textContent = texts["editor.read-only"];
  return frame;
}
