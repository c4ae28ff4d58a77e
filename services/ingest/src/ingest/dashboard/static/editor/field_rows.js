/* Lists as rows that are added, removed and moved, and objects as rows of names and values. */
import { formatJson, isObject, isSame, parseJson } from "editor/json_text";
import { freshValue } from "editor/form_schema";
import { edgesOfHandle } from "editor/node_rename";
import { attachCompletion, templateSource } from "editor/template_completion";
import { button, element, grouped, labelOf } from "editor/form_elements";

/* `contentOf(path, title)` makes the content of a row. */
export function listInput(field, contentOf) {
  const { ctx, path, described } = field;
  const rows = rowsAt(field);
  const noun = described.item.kind === "object" ? ctx.texts.part(described.item.part) : ctx.texts.text("editor-form.entry");
  const list = element("ol", { class: "form-rows" });
  rows.forEach((_, index) => list.append(rowOf(field, rows.length, index, noun, contentOf)));
  const isFull = rows.length >= (described.most ?? Infinity);
  const add = button(ctx.texts.text("editor-form.add", { part: noun }), () => addRow(field), { key: ctx.idFor(path, "add"), class: "add", disabled: isFull });
  return grouped(field, list, add);
}

/* The rows as they are now: the form is not rendered again while a field is written. */
function rowsAt({ ctx, path }) {
  const value = ctx.read(path);
  return Array.isArray(value) ? value : [];
}

function addRow(field) {
  const { ctx, path, described } = field;
  const rows = rowsAt(field);
  const fresh = freshValue(ctx.schema, described.item, rows.map((row) => row?.id));
  ctx.write(path, [...rows, fresh]);
  ctx.render(ctx.idFor([...path, rows.length], "row"));
}

function rowOf(field, count, index, noun, contentOf) {
  const { ctx, path, described } = field;
  const place = [...path, index];
  const title = ctx.texts.text("editor-form.row", { part: noun, number: index + 1 });
  const move = (to) => {
    const next = [...rowsAt(field)];
    next.splice(to, 0, ...next.splice(index, 1));
    ctx.moveMemory(path, (each) => (each === index ? to : each === to ? index : each));
    ctx.write(path, next);
    ctx.render(ctx.idFor([...path, to], to < index ? "up" : "down"), ctx.idFor([...path, to], to < index ? "down" : "up"));
  };
  const key = (role) => ctx.idFor(place, role);
  const named = (id) => ctx.texts.text(id, { row: title });
  const notice = element("div", { class: "notice-place" });
  const buttons = element(
    "div",
    { class: "form-moves" },
    button("↑", () => move(index - 1), { key: key("up"), label: named("editor-form.move-up"), disabled: index === 0 }),
    button("↓", () => move(index + 1), { key: key("down"), label: named("editor-form.move-down"), disabled: index === count - 1 }),
    button("✕", () => askedToRemove(field, index, notice, title), { key: key("remove"), label: named("editor-form.remove") }),
  );
  const content = contentOf(place, title);
  if (described.item.kind !== "object") return element("li", { class: "form-row row-single" }, content, buttons, notice);
  const problems = element("div", { class: "problems", id: key("problems") });
  ctx.register(place, null, problems);
  const name = element("span", { class: "row-title", id: key("title"), text: title });
  const names = { "aria-labelledby": name.id, "aria-describedby": problems.id };
  const set = element("div", { class: "row-fields", role: "group", tabindex: "-1", "data-key": key("row"), ...names }, element("div", { class: "row-head" }, name, buttons), notice, problems, content);
  return element("li", { class: "form-row" }, set);
}

/* A row with an edge is removed with it, and only after a question. */
function askedToRemove(field, index, notice, title) {
  const { ctx, path, described } = field;
  const rows = rowsAt(field);
  const handle = rows[index]?.id;
  const isAlone = rows.filter((row) => row?.id === handle).length === 1;
  const edges = described.hints.handles && isAlone ? edgesOfHandle(ctx.store.get(), ctx.nodeId, handle) : [];
  if (!edges.length) {
    removeRow(field, index, []);
    return;
  }
  const targets = edges.map((edge) => edge.target).join(", ");
  const confirm = button(ctx.texts.text("editor-form.remove-both"), () => removeRow(field, index, edges), { key: ctx.idFor([...path, index], "confirm"), class: "danger" });
  const keep = button(ctx.texts.text("editor-form.keep"), () => {
    notice.replaceChildren();
    notice.parentElement.querySelector(".form-moves button:last-child").focus();
  });
  notice.replaceChildren(
    element("div", { class: "form-question", role: "alert" }, element("p", { text: ctx.texts.text("editor-form.has-edge", { row: title, targets }) }), element("div", { class: "form-answers" }, confirm, keep)),
  );
  keep.focus();
}

function removeRow(field, index, edges) {
  const { ctx, path, required } = field;
  const next = rowsAt(field).filter((_, each) => each !== index);
  ctx.moveMemory(path, (each) => (each === index ? null : each > index ? each - 1 : each));
  const change = (flow) => (edges.length ? { ...flow, edges: flow.edges.filter((edge) => !edges.includes(edge)) } : flow);
  ctx.write(path, next.length || required ? next : undefined, { change });
  ctx.render(ctx.idFor([...path, Math.min(index, next.length - 1)], "remove"), ctx.idFor(path, "add"));
}

/* An object as rows of a name and a value. `isJson`: values may be of any type: what is JSON and no text is written so. */
export function mapInput(field, isJson) {
  const { ctx, path, described, required } = field;
  const read = () => (isObject(ctx.read(path)) ? ctx.read(path) : undefined);
  const value = read();
  const kept = ctx.recall("pairs", path);
  const pairs = kept && isSame(asObject(kept), value ?? {}) ? kept : Object.entries(value ?? {});
  const list = element("ol", { class: "form-rows" });

  function save() {
    const names = pairs.map(([name]) => name).filter(Boolean);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    ctx.remember("pairs", path, pairs);
    ctx.showLocal(path, twice === undefined ? null : ctx.texts.text("editor-form.twice", { name: twice }));
    if (twice !== undefined) return;
    const object = asObject(pairs);
    ctx.write(path, Object.keys(object).length || required || described.hints.empty && read() && !pairs.length ? object : undefined);
  }

  pairs.forEach((pair, index) => list.append(pairOf(field, pairs, pair, index, isJson, save)));
  const add = button(ctx.texts.text("editor-form.add", { part: ctx.texts.text("editor-form.entry") }), () => {
    ctx.remember("pairs", path, [...pairs, ["", ""]]);
    ctx.render(ctx.idFor([...path, pairs.length], "name"));
  }, { key: ctx.idFor(path, "add"), class: "add" });
  return grouped(field, list, add, described.hints.empty ? emptyChoice(field, value) : null);
}

/* No object and an empty one differ. */
function emptyChoice({ ctx, part, name, path }, value) {
  const input = element("input", { type: "checkbox", "data-key": ctx.idFor(path, "empty") });
  input.checked = Boolean(value) && !Object.keys(value).length;
  input.addEventListener("change", () => {
    ctx.remember("pairs", path, undefined);
    ctx.write(path, input.checked ? {} : undefined);
    ctx.render();
  });
  return element("label", { class: "option" }, input, ctx.texts.value(part, name, "empty"));
}

function asObject(pairs) {
  return Object.fromEntries(pairs.filter(([name]) => name !== ""));
}

function pairOf(field, pairs, pair, index, isJson, save) {
  const { ctx, path, described } = field;
  const place = [...path, index];
  const label = (id) => ctx.texts.text(id, { field: labelOf(field), number: index + 1 });
  const name = element("input", { type: "text", "aria-label": label("editor-form.name-of"), placeholder: ctx.texts.text("editor-form.name"), "data-key": ctx.idFor(place, "name"), autocomplete: "off", spellcheck: "false" });
  name.value = pair[0];
  name.addEventListener("input", () => {
    pair[0] = name.value;
    pairs[index] = pair;
    save();
  });
  const text = element("input", { type: "text", "aria-label": label("editor-form.value-of"), placeholder: ctx.texts.text(isJson ? "editor-form.value-or-json" : "editor-form.value"), "data-key": ctx.idFor(place, "value"), dir: "auto", spellcheck: "false" });
  text.value = typeof pair[1] === "string" && !(isJson && looksLikeJson(pair[1])) ? pair[1] : formatJson(pair[1]);
  text.addEventListener("input", () => {
    pairs[index] = pair;
    pair[1] = isJson ? textOrJson(text.value) : text.value;
    save();
  });
  const remove = button("✕", () => {
    pairs.splice(index, 1);
    save();
    ctx.render(ctx.idFor([...path, Math.min(index, pairs.length - 1)], "remove"), ctx.idFor(path, "add"));
  }, { key: ctx.idFor(place, "remove"), label: ctx.texts.text("editor-form.remove", { row: pair[0] || label("editor-form.name-of") }) });
  const control = element("div", { class: "control" }, text);
  const messages = element("div", { class: "problems", id: ctx.idFor(place, "problems") });
  text.setAttribute("aria-describedby", messages.id);
  ctx.register([...path, pair[0]], text, messages);
  if (described.hints.template) {
    attachCompletion(text, control, [templateSource(() => (ctx.nodeId === null ? [] : ctx.store.scope(ctx.nodeId)), ctx.schema["x-filters"] || [])], ctx.texts.text("editor-form.completions"));
  }
  return element("li", { class: "form-row row-pair" }, name, control, remove, messages);
}

/* `5`, `true`, `["a"]` and `"5"` are JSON; anything else is a text. */
function textOrJson(text) {
  if (!looksLikeJson(text)) return text;
  return parseJson(text);
}

function looksLikeJson(text) {
  try {
    parseJson(text);
    return true;
  } catch {
    return false;
  }
}
