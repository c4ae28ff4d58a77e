/* What the controls of a form share: the place in the flow that they edit, what was typed and is not in the flow, and
   the fields at which problems are shown. A path is a list of names and indexes; its key is written as in a problem. */
import { isObject } from "editor/json_text";

export function keyOf(path) {
  return path.reduce((key, step) => (typeof step === "number" ? `${key}[${step}]` : key ? `${key}.${step}` : step), "");
}

export function valueAt(value, path) {
  return path.reduce((inner, step) => (inner === undefined || inner === null ? undefined : inner[step]), value);
}

/* The value with another one at the path; undefined removes it. An object that is empty then is removed too, except
   items of lists and those of the first `kept` steps. */
export function withValue(value, path, next, kept = 0) {
  if (!path.length) return next;
  const [step, ...rest] = path;
  if (typeof step === "number") {
    const list = Array.isArray(value) ? [...value] : [];
    list[step] = withValue(list[step], rest, next, Math.max(kept - 1, 1));
    return list;
  }
  const object = isObject(value) ? value : {};
  const inner = withValue(object[step], rest, next, kept - 1);
  if (inner !== undefined) return { ...object, [step]: inner };
  const { [step]: gone, ...others } = object;
  return gone !== undefined && !Object.keys(others).length && kept <= 0 ? undefined : others;
}

let forms = 0;

export class FormContext {
  /* `base()` is the path of the form's subject in the flow, null if it is gone. */
  constructor({ store, schema, texts, names, base, render }) {
    forms += 1;
    Object.assign(this, { store, schema, texts, names, base, render, prefix: `form-${forms}` });
    /* By the key of a path: texts that are no value yet, chosen alternatives, the fields of those not chosen. */
    this.memory = new Map();
    this.fields = new Map();
    this.nodeId = null;
  }

  read(path) {
    const base = this.base();
    return base && valueAt(this.store.get(), [...base, ...path]);
  }

  write(path, value, { kept = 1, change = (flow) => flow } = {}) {
    const base = this.base();
    if (!base) return;
    const flow = withValue(this.store.get(), [...base, ...path], value, base.length + kept);
    this.store.set(change(flow), { undoable: true, origin: "form" });
  }

  recall(kind, path) {
    return this.memory.get(`${kind} ${keyOf(path)}`);
  }

  remember(kind, path, value) {
    if (value === undefined) this.memory.delete(`${kind} ${keyOf(path)}`);
    else this.memory.set(`${kind} ${keyOf(path)}`, value);
  }

  /* Rows of a list have moved: `to(index)` is the new index, null for a removed one. */
  moveMemory(path, to) {
    const start = keyOf(path);
    const moved = new Map();
    for (const [name, value] of this.memory) {
      const [kind, key] = [name.slice(0, name.indexOf(" ")), name.slice(name.indexOf(" ") + 1)];
      const found = key.startsWith(`${start}[`) ? /^\[(\d+)\](.*)$/.exec(key.slice(start.length)) : null;
      if (!found) moved.set(name, value);
      else if (to(Number(found[1])) !== null) moved.set(`${kind} ${start}[${to(Number(found[1]))}]${found[2]}`, value);
    }
    this.memory = moved;
  }

  idFor(path, role = "") {
    return `${this.prefix}-${keyOf(path)}${role && `-${role}`}`.replace(/[^\w.[\]-]/g, "_");
  }

  /* `control` is what gets aria-invalid, if a field has one; `messages` is where problems are shown. */
  register(path, control, messages) {
    this.fields.set(keyOf(path), { control, messages });
  }

  /* Shows what is wrong with a text that is not in the flow; null removes it. */
  showLocal(path, message) {
    const field = this.fields.get(keyOf(path));
    if (!field) return;
    field.messages.querySelector("[data-local]")?.remove();
    if (message) {
      const shown = messageLine("error", message);
      shown.dataset.local = "";
      field.messages.prepend(shown);
    }
    markInvalid(field);
  }
}

export function messageLine(severity, message) {
  const line = document.createElement("p");
  line.className = `problem problem-${severity}`;
  line.textContent = message;
  return line;
}

export function markInvalid({ control, messages }) {
  if (!control) return;
  if (messages.querySelector(".problem-error")) control.setAttribute("aria-invalid", "true");
  else control.removeAttribute("aria-invalid");
}
