/* The CodeMirror of the JSON panel, in a shadow root: its styles are adopted there, which the page's policy permits. */
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, completionStatus, startCompletion } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { bracketMatching, foldGutter, foldKeymap, HighlightStyle, indentOnInput, syntaxHighlighting, syntaxTree } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Annotation, EditorState, Prec } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { namesAt, startOf, valuesAt } from "editor/json_completion";

/* Changes that come from the store do not return to it. */
const fromStore = Annotation.define();

/* The tokens of the page are inherited into the shadow root, so both themes follow. */
const theme = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--surface)", font: "var(--mono)" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-2px" },
  ".cm-scroller": { font: "var(--mono)", overflow: "auto" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--background)", color: "var(--muted)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--accent) 8%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "color-mix(in srgb, var(--accent) 28%, transparent)" },
  ".cm-selectionMatch, .cm-searchMatch": { backgroundColor: "transparent", outline: "1px solid var(--failed)" },
  ".cm-searchMatch-selected": { backgroundColor: "color-mix(in srgb, var(--accent) 12%, transparent)", outlineWidth: "2px" },
  ".cm-panels": { backgroundColor: "var(--background)", color: "var(--text)", borderColor: "var(--line)" },
  ".cm-panels-bottom": { borderTop: "1px solid var(--line)" },
  ".cm-panel.cm-search label": { fontSize: "12px", display: "inline-flex", alignItems: "center", gap: "4px", minHeight: "24px", marginRight: "8px" },
  ".cm-textfield, .cm-button": { font: "inherit", fontSize: "12px", color: "inherit", background: "var(--surface)", border: "1px solid var(--control)", borderRadius: "4px", padding: "2px 6px", minHeight: "26px" },
  ".cm-panel.cm-search [name=close]": { color: "inherit", minWidth: "24px", minHeight: "24px" },
  ".cm-tooltip": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--control)", borderRadius: "4px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionDetail": { fontStyle: "normal", opacity: "1" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--dead)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--failed)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--dead)", textUnderlineOffset: "3px" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--failed)", textUnderlineOffset: "3px" },
  ".cm-lint-marker": { content: "none", textAlign: "center", fontWeight: "700" },
  ".cm-lint-marker-error": { content: "none", color: "var(--dead)" },
  ".cm-lint-marker-error::before": { content: "'✕'" },
  ".cm-lint-marker-warning": { content: "none", color: "var(--failed)" },
  ".cm-lint-marker-warning::before": { content: "'!'" },
  ".cm-foldPlaceholder": { backgroundColor: "var(--background)", color: "var(--muted)", borderColor: "var(--line)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "color-mix(in srgb, var(--accent) 25%, transparent)" },
});

const colours = HighlightStyle.define([
  { tag: tags.propertyName, color: "var(--accent)" },
  { tag: tags.string, color: "var(--completed)" },
  { tag: tags.number, color: "var(--delayed)" },
  { tag: [tags.bool, tags.null], color: "var(--delayed)", fontWeight: "600" },
]);

export function createEditor(root, panel, { isReadOnly, edited }) {
  const host = document.createElement("div");
  host.className = "json-host";
  const shadow = host.attachShadow({ mode: "open" });
  root.replaceChildren(host);
  const { texts } = panel;

  const view = new EditorView({
    root: shadow,
    parent: shadow,
    state: EditorState.create({
      doc: panel.text,
      extensions: [
        lineNumbers(),
        foldGutter(),
        lintGutter(),
        history(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        closeBrackets(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        highlightSelectionMatches(),
        search(),
        json(),
        syntaxHighlighting(colours),
        theme,
        autocompletion({ override: [(context) => complete(context, panel)], activateOnTyping: true }),
        EditorView.lineWrapping,
        EditorState.readOnly.of(isReadOnly),
        EditorView.editable.of(!isReadOnly),
        EditorView.contentAttributes.of({ "aria-label": texts.text("editor-form.json"), tabindex: "0" }),
        EditorState.phrases.of(phrases(texts)),
        /* Tab leaves the editor, as in every field. */
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, ...completionKeymap, ...lintKeymap]),
        Prec.highest(keymap.of([{ key: "Ctrl-Space", run: startCompletion }, { key: "Escape", run: (current) => completionStatus(current.state) === null && !shadow.querySelector(".cm-panel") && leave(current) }])),
        EditorView.domEventHandlers({ beforeinput: replaceSelection }),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          if (update.transactions.some((transaction) => transaction.annotation(fromStore))) panel.changed(update.state.doc.toString());
          else edited(update.state.doc.toString());
          queueMicrotask(mark);
        }),
      ],
    }),
  });

  function mark() {
    const length = view.state.doc.length;
    const diagnostics = panel.marks().map((each) => ({ ...each, from: Math.min(each.from, length), to: Math.min(each.to, length) }));
    view.dispatch(setDiagnostics(view.state, diagnostics));
  }

  return {
    mark,
    change(changes) {
      view.dispatch({ changes, annotations: fromStore.of(true) });
    },
    focus: () => view.focus(),
    reveal(position) {
      view.dispatch({ effects: EditorView.scrollIntoView(position, { y: "start", yMargin: 24 }) });
    },
    select(position) {
      view.dispatch({ selection: { anchor: position }, scrollIntoView: true });
      view.focus();
    },
    destroy: () => view.destroy(),
  };
}

/* A browser that replaces a selection itself writes style attributes, which the page's policy refuses. */
function replaceSelection(event, view) {
  const { from, to } = view.state.selection.main;
  const text = event.data ?? "";
  if (event.inputType !== "insertText" || view.state.readOnly || view.composing || from === to && !text.includes("\n")) return false;
  event.preventDefault();
  const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
  if (!view.state.facet(EditorView.inputHandler).some((handler) => handler(view, from, to, text, insert))) view.dispatch(insert());
  return true;
}

function leave(view) {
  view.contentDOM.blur();
  return true;
}

function phrases(texts) {
  const ids = { Find: "find", Replace: "replace-with", next: "next", previous: "previous", all: "all", "match case": "match-case", regexp: "regexp", "by word": "by-word", replace: "replace", "replace all": "replace-all", close: "close" };
  return Object.fromEntries(Object.entries(ids).map(([word, id]) => [word, texts.text(`editor-json.phrase-${id}`)]));
}

/* ---- Completion -------------------------------------------------------------------------------------------- */

/* The names and indexes from the whole text to a node of the syntax. */
function pathTo(node, state) {
  const path = [];
  for (let at = node; at.parent; at = at.parent) {
    if (at.parent.name === "Array") {
      let index = 0;
      for (let before = at.prevSibling; before; before = before.prevSibling) if (!/^[[\],⚠]$/.test(before.name)) index += 1;
      path.unshift(index);
    } else if (at.name === "Property") {
      path.unshift(nameOf(at, state));
    }
  }
  return path;
}

function nameOf(property, state) {
  const name = property.getChild("PropertyName");
  return name ? nameIn(name, state) : "";
}

function nameIn(name, state) {
  return state.sliceDoc(name.from, name.to).replace(/^"|"$/g, "");
}

function typesIn(panel) {
  return (index) => panel.tree.value?.nodes?.[index]?.type;
}

function complete(context, panel) {
  const { state, pos } = context;
  const { schema, texts } = panel;
  const inner = syntaxTree(state).resolveInner(pos, -1);
  const typed = context.matchBefore(/"?[\w$-]*/) ?? { from: pos, text: "" };
  if (!context.explicit && !typed.text) return null;
  const from = typed.from + (typed.text.startsWith('"') ? 1 : 0);
  const object = objectOfName(inner, state, pos);
  if (object) {
    const own = inner.name === "PropertyName" ? nameIn(inner, state) : null;
    const present = object.getChildren("Property").map((property) => nameOf(property, state)).filter((name) => name !== own);
    const options = namesAt(schema, pathTo(object, state), typesIn(panel), present).map(({ name, part, described }) => ({
      label: name,
      detail: texts.label(part, name),
      info: texts.help(part, name) || undefined,
      type: "property",
      apply: (view, _, start, end) => insert(view, JSON.stringify(name), start, end, startOf(schema, described)),
    }));
    return options.length ? { from, options } : null;
  }
  const options = valuesAt(schema, pathOfValue(inner, state), typesIn(panel)).map(({ value, part, field }) => ({
    label: String(value),
    detail: texts.value(part, field, value),
    type: "enum",
    apply: (view, _, start, end) => insert(view, JSON.stringify(value), start, end),
  }));
  return options.length ? { from, options } : null;
}

/* The object of which a name is written at the position, null if something else is written there. */
function objectOfName(inner, state, pos) {
  if (inner.name === "PropertyName") return closest(inner, "Object");
  const object = closest(inner, "Object", "Array");
  if (object?.name !== "Object" || inner.name === "String") return null;
  return /[{,]\s*"?[\w$-]*$/.test(state.sliceDoc(Math.max(object.from, pos - 200), pos)) ? object : null;
}

function pathOfValue(inner, state) {
  const owner = ["String", "True", "False", "Null", "Number"].includes(inner.name) ? inner : closest(inner, "Property", "Array");
  if (!owner) return [];
  if (owner.name === "Array") return [...pathTo(owner, state), 0];
  return owner.name === "Property" ? pathTo(owner.lastChild, state) : pathTo(owner, state);
}

function closest(node, ...names) {
  let at = node;
  while (at && !names.includes(at.name)) at = at.parent;
  return at;
}

/* Replaces what is written of a name or a value. A name without a value gets `start`, and the caret in it. */
function insert(view, text, from, to, start = null) {
  const { doc } = view.state;
  const begin = doc.sliceString(from - 1, from) === '"' ? from - 1 : from;
  const line = doc.lineAt(to);
  const end = to + /^[\w$-]*"?/.exec(line.text.slice(to - line.from))[0].length;
  const isNew = start !== null && !/^\s*:/.test(doc.sliceString(end, end + 20));
  const written = isNew ? `${text}: ${start}` : text;
  const caret = begin + written.length - (isNew && start.length === 2 ? 1 : 0);
  view.dispatch({ changes: { from: begin, to: end, insert: written }, selection: { anchor: caret }, userEvent: "input.complete" });
}
