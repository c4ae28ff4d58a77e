/* The form of the selected node, or of the flow's name, settings and variables when nothing is selected.

   It is generated from the JSON Schema of a flow. What it writes into the flow is only what was set: defaults are shown
   in the fields, and fields that the schema does not have stay. */
import { element, labelled } from "editor/form_elements";
import { FormContext, markInvalid, messageLine } from "editor/form_context";
import { partFields } from "editor/form_parts";
import { dataPart } from "editor/form_schema";
import { createTexts } from "editor/form_texts";
import { isObject, isSame } from "editor/json_text";
import { renameNode } from "editor/node_rename";

const OF_FLOW = ["name", "description", "settings", "variables"];

export function createNodeForm(root, { store, schema, texts: catalogue, names }) {
  const texts = createTexts(catalogue);
  const ctx = new FormContext({ store, schema, texts, names, base, render });
  let selected = [];
  let shownFlow = null;
  const summary = element("div", { class: "form-summary", role: "status" });
  const body = element("div", { class: "form-body" });
  root.classList.add("node-form");
  root.dataset.form = ctx.prefix;
  root.replaceChildren(summary, body);

  function indexOf(id) {
    return (store.get().nodes || []).findIndex((node) => node?.id === id);
  }

  function base() {
    if (ctx.nodeId === null) return [];
    const index = indexOf(ctx.nodeId);
    return index < 0 ? null : ["nodes", index, "data"];
  }

  /* What the form shows of the flow. */
  function subject() {
    const flow = store.get();
    if (ctx.nodeId === null) return Object.fromEntries(OF_FLOW.map((name) => [name, flow[name]]));
    const node = flow.nodes?.[indexOf(ctx.nodeId)];
    return node && { id: node.id, type: node.type, data: node.data };
  }

  /* `wanted` are keys of elements: the first that can have the focus gets it, otherwise the one that had it keeps it. */
  function render(...wanted) {
    const active = body.contains(root.getRootNode().activeElement) ? root.getRootNode().activeElement : null;
    const caret = active && "selectionStart" in active ? [active.selectionStart, active.selectionEnd] : null;
    const key = active?.dataset.key;
    const scrolled = root.scrollTop;
    ctx.fields = new Map();
    shownFlow = subject();
    body.replaceChildren(content());
    showProblems();
    root.scrollTop = scrolled;
    const target = [...wanted, ...(key ? [key] : [])].map(find).find((found) => found && !found.disabled);
    if (!target || !wanted.length && !active) return;
    target.focus({ preventScroll: !wanted.length });
    if (caret && target.dataset.key === key && caret[0] !== null) target.setSelectionRange(...caret);
  }

  function find(key) {
    return [...body.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key);
  }

  function content() {
    const frame = element("fieldset", { class: "form-frame", disabled: Boolean(store.isReadOnly) });
    if (selected.length > 1) {
      frame.append(element("p", { class: "muted", text: texts.text("editor-form.several", { count: selected.length }) }));
    } else if (ctx.nodeId === null) {
      frame.append(element("h3", { text: texts.text("editor-form.flow") }), partFields(ctx, "Flow", []));
    } else {
      const node = store.get().nodes[indexOf(ctx.nodeId)];
      const part = dataPart(schema, node.type);
      frame.append(element("h3", { text: texts.value("Node", "type", node.type) }), element("p", { class: "help", text: texts.help("Node", node.type) }), idInput(node));
      if (!part || node.data !== undefined && !isObject(node.data)) frame.append(element("p", { class: "problem problem-error", text: texts.text("editor-form.unknown-type", { type: String(node.type) }) }));
      else frame.append(partFields(ctx, part, []));
    }
    return frame;
  }

  /* The id is part of references and edges: it changes when it is complete. */
  function idInput(node) {
    const field = { ctx, part: "Node", name: "id", path: ["id"], required: true, described: { hints: {} } };
    const control = element("input", { type: "text", spellcheck: "false", autocomplete: "off" });
    control.value = node.id;
    const box = labelled(field, control);
    control.addEventListener("change", () => {
      const id = control.value.trim();
      if (id === ctx.nodeId) return;
      const message = idProblem(id);
      ctx.showLocal(["id"], message);
      if (message) return;
      const renamed = renameNode(store.get(), ctx.nodeId, id);
      /* The form follows its node before others hear of the new id. */
      ctx.nodeId = id;
      selected = [id];
      shownFlow = null;
      store.set(renamed, { undoable: true, origin: "form" });
      store.select([id]);
      render();
    });
    return box;
  }

  function idProblem(id) {
    const { maxLength, pattern } = schema.$defs.Node.properties.id;
    if (!id || id.length > maxLength || !new RegExp(pattern).test(id)) return texts.text("editor-form.id-invalid", { most: maxLength });
    return indexOf(id) >= 0 ? texts.text("editor-form.id-taken", { id }) : null;
  }

  function showProblems() {
    for (const field of ctx.fields.values()) {
      for (const line of field.messages.querySelectorAll(".problem:not([data-local])")) line.remove();
    }
    const above = [];
    for (const problem of store.problems || []) {
      if (selected.length > 1 || (problem.nodeId ?? null) !== ctx.nodeId) continue;
      const field = fieldOf(problem.field || "");
      const line = messageLine(problem.severity === "warning" ? "warning" : "error", problem.message);
      if (field) {
        field.messages.append(line);
        openAround(field.messages);
      } else {
        if (problem.field) line.prepend(element("code", { text: problem.field }), " ");
        above.push(line);
      }
    }
    for (const field of ctx.fields.values()) markInvalid(field);
    if (above.length || summary.childElementCount) summary.replaceChildren(...above);
  }

  /* The field of a problem, or the nearest one around it. */
  function fieldOf(name) {
    for (let key = name; key; key = key.replace(/(?:\.|^)[^.[\]]*$|\[[^\]]*\]$/, "")) {
      if (ctx.fields.has(key)) return ctx.fields.get(key);
    }
    return undefined;
  }

  function openAround(messages) {
    for (let details = messages.closest("details"); details; details = details.parentElement.closest("details")) details.open = true;
  }

  function follow() {
    selected = [...store.selection()];
    const id = selected.length === 1 ? selected[0] : null;
    const isOther = id !== ctx.nodeId;
    if (isOther) ctx.memory = new Map();
    ctx.nodeId = id;
    return isOther;
  }

  const unsubscribe = store.subscribe((flow, origin) => {
    const count = selected.length;
    if (origin === "problems") showProblems();
    else if (origin === "scopes") return;
    else if (follow() || selected.length !== count) {
      root.scrollTop = 0;
      render();
    } else if (origin !== "form" && !isSame(subject() ?? null, shownFlow)) {
      ctx.memory = new Map([...ctx.memory].filter(([name]) => !name.startsWith("draft ")));
      render();
    } else {
      shownFlow = subject();
    }
  });

  follow();
  render();
  return {
    /* Moves the focus to a field of the shown node, such as `rules[0].value`. Returns whether there is one. */
    focusField(name) {
      const field = fieldOf(name);
      if (!field) return false;
      openAround(field.messages);
      const target = field.control ?? field.messages.closest("fieldset")?.querySelector("input, select, textarea, button");
      target?.focus();
      return Boolean(target);
    },
    destroy() {
      unsubscribe();
      root.replaceChildren();
    },
  };
}

