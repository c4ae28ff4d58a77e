/* The JSON of the flow beside the canvas, in both directions: a CodeMirror, or a text field where it is not installed.

   The text is never written again as a whole: what changes elsewhere changes here only where it differs, so the order of
   names, the spaces, long numbers and the caret stay. A text that is no JSON does not reach the flow. */
import { applyChanges, changesTo, formatJson, isObject, isSame, JsonError, nodeAt, parseTree, placeOf, sharing } from "editor/json_text";
import { createTexts } from "editor/form_texts";

/* What both editors share: the text and the flow, and which is newer. */
export class JsonDocument {
  constructor({ store, schema, texts }) {
    Object.assign(this, { store, schema, texts: createTexts(texts) });
    this.changed(formatJson(store.get()));
  }

  /* The text was edited. Gives the flow to the store, if there is one. */
  edited(text) {
    this.text = text;
    try {
      this.tree = parseTree(text);
      if (!isObject(this.tree.value)) throw new JsonError("no-object", this.tree.from, this.tree.to);
      if (!isUsable(this.tree.value)) throw new JsonError("no-nodes", this.tree.from, this.tree.from + 1);
      this.error = null;
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      this.error = error;
      return;
    }
    const flow = sharing(this.store.get(), this.tree.value);
    this.flow = flow;
    if (flow !== this.store.get()) this.store.set(flow, { undoable: true, origin: "json" });
  }

  /* The changes of the text that make it the flow of the store. A text that is no JSON is replaced. */
  changesFromStore() {
    const flow = this.store.get();
    if (this.error) return [{ from: 0, to: this.text.length, insert: formatJson(flow) }];
    return changesTo(this.text, flow, this.tree, this.flow);
  }

  /* The text has become the flow of the store. */
  changed(text) {
    this.flow = this.store.get();
    this.text = text;
    this.tree = parseTree(text);
    this.error = null;
  }

  /* [{from, to, severity, message}]: the error of the text, or the problems of the flow where they are in the text. */
  marks() {
    if (this.error) {
      const to = Math.min(Math.max(this.error.to, this.error.from + 1), this.text.length);
      return [{ from: Math.min(this.error.from, to), to, severity: "error", message: this.messageOf(this.error) }];
    }
    return (this.store.problems || []).map((problem) => {
      const { from, to } = this.placeOf(problem);
      return { from, to, severity: problem.severity === "warning" ? "warning" : "error", message: problem.message };
    });
  }

  messageOf(error) {
    return this.texts.text("editor-form.json-error", { ...placeOf(this.text, error.from), problem: this.texts.text(`editor-json.${error.code}`) });
  }

  placeOf({ nodeId, field }) {
    if (nodeId === null || nodeId === undefined) return shortened(this.text, nodeAt(this.tree, field || ""));
    const nodes = nodeAt(this.tree, "nodes");
    const node = nodes.items?.find((item) => item.value?.id === nodeId);
    if (!node) return shortened(this.text, nodes);
    const own = nodeAt(node, field || "");
    return shortened(this.text, own === node ? nodeAt(node, `data.${field || ""}`.replace(/\.$/, "")) : own);
  }
}

/* Other parts of the editor need a list of nodes, each with an id. */
function isUsable(flow) {
  const isList = (value) => Array.isArray(value) && value.every(isObject);
  return isList(flow.nodes) && (flow.edges === undefined || isList(flow.edges)) && flow.nodes.every(({ id }) => typeof id === "string");
}

/* A mark on a long value is one on its first line. */
function shortened(text, { from, to }) {
  const end = text.indexOf("\n", from);
  return { from, to: end >= 0 && end < to ? end : to };
}

export function createJsonPanel(root, { store, schema, texts }) {
  const panel = new JsonDocument({ store, schema, texts });
  let shown = null;
  let isClosed = false;
  let isOutdated = false;
  root.classList.add("json-panel");
  const ready = import("editor/json_editor").then(
    ({ createEditor }) => createEditor,
    () => createTextArea, // Without npm, CodeMirror is not installed.
  );
  const made = ready.then((create) => {
    if (isClosed) return;
    shown = create(root, panel, { isReadOnly: Boolean(store.isReadOnly), edited: (text) => panel.edited(text) });
    follow();
    shown.mark();
    reveal();
  });

  /* The selected node is in view, unless the text is being written. */
  function reveal() {
    const [id] = store.selection();
    if (id !== undefined && !panel.error && !root.contains(document.activeElement)) shown.reveal(panel.placeOf({ nodeId: id }).from);
  }

  function follow() {
    if (!panel.error && isSame(panel.flow, store.get())) return;
    shown.change(panel.changesFromStore());
  }

  /* What is not seen costs nothing while the canvas is used. */
  function update(origin) {
    isOutdated = root.offsetParent === null;
    if (isOutdated) return;
    follow();
    shown.mark();
    if (origin === "selection") reveal();
  }

  function catchUp() {
    if (shown && isOutdated) update("selection");
  }

  /* The panel is hidden by itself, or with what is around it. */
  const sight = new IntersectionObserver(catchUp);
  sight.observe(root);
  const attribute = new MutationObserver(catchUp);
  attribute.observe(root, { attributeFilter: ["hidden"] });

  const unsubscribe = store.subscribe((flow, origin) => {
    if (!shown || origin === "scopes" || origin === "json") return;
    if (isOutdated || root.offsetParent === null || !["selection", "problems"].includes(origin)) update(origin);
    else if (origin === "selection") reveal();
    else shown.mark();
  });

  return {
    ready: made,
    focus: () => shown?.focus(),
    text: () => panel.text,
    /* Moves the caret to a position of the text. */
    select: (position) => shown?.select(position),
    /* Shows the place of a problem. */
    show: (problem) => shown?.select(panel.placeOf(problem).from),
    destroy() {
      isClosed = true;
      unsubscribe();
      sight.disconnect();
      attribute.disconnect();
      shown?.destroy();
      root.replaceChildren();
    },
  };
}

/* The same without CodeMirror. */
function createTextArea(root, panel, { isReadOnly, edited }) {
  const field = document.createElement("textarea");
  const messages = document.createElement("ul");
  messages.className = "json-marks";
  messages.id = "json-marks";
  messages.setAttribute("role", "status");
  field.className = "mono json-text";
  field.spellcheck = false;
  field.dir = "ltr";
  field.readOnly = isReadOnly;
  field.setAttribute("aria-label", panel.texts.text("editor-form.json"));
  field.setAttribute("aria-describedby", messages.id);
  field.value = panel.text;
  field.addEventListener("input", () => {
    edited(field.value);
    mark();
  });
  root.replaceChildren(field, messages);

  function mark() {
    const marks = panel.marks();
    field.setAttribute("aria-invalid", String(marks.some(({ severity }) => severity === "error")));
    messages.replaceChildren(
      ...marks.map(({ from, severity, message }) => {
        const line = document.createElement("li");
        line.className = `problem problem-${severity}`;
        line.textContent = `${placeOf(panel.text, from).line}: ${message}`;
        return line;
      }),
    );
  }

  return {
    mark,
    change(changes) {
      const { selectionStart, selectionEnd, scrollTop } = field;
      const moved = (position) => changes.reduce((at, { from, to, insert }) => (to <= position ? at + insert.length - (to - from) : at), position);
      field.value = applyChanges(field.value, changes);
      panel.changed(field.value);
      field.setSelectionRange(moved(selectionStart), moved(selectionEnd));
      field.scrollTop = scrollTop;
      mark();
    },
    focus: () => field.focus(),
    reveal(position) {
      const line = placeOf(field.value, position).line;
      field.scrollTop = (line - 1) * (field.scrollHeight / field.value.split("\n").length);
    },
    select(position) {
      field.setSelectionRange(position, position);
      field.focus();
    },
    destroy() {},
  };
}
