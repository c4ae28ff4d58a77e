/* The controls of single values: texts, numbers, durations, choices, flags, intervals, and values of any type. */
import { formatJson, JsonError, parseJson, placeOf } from "editor/json_text";
import { edgesOfHandle, renameHandle } from "editor/node_rename";
import { attachCompletion, choiceSource, expressionSource, templateSource } from "editor/template_completion";
import { element, labelled, labelOf, selectOf } from "editor/form_elements";

const UNITS = [["ms", 1], ["s", 1000], ["min", 60000], ["h", 3600000], ["d", 86400000]];

function complete(field, control, holder) {
  const { ctx, described: { hints } } = field;
  const scope = () => (ctx.nodeId === null ? [] : ctx.store.scope(ctx.nodeId));
  const listed = (names) => (names || []).map((each) => (typeof each === "string" ? { name: each } : { name: each.id, detail: each.name }));
  const sources = [];
  if (hints.template) sources.push(templateSource(scope, ctx.schema["x-filters"] || []));
  if (hints.format === "expression") sources.push(expressionSource(scope));
  if (hints.format === "variable") sources.push(choiceSource(() => listed((ctx.store.get().variables || []).map((each) => each?.name).filter(Boolean))));
  if (hints.format === "flow") sources.push(choiceSource(() => listed(ctx.names?.flows)));
  if (hints.format === "channel") sources.push(choiceSource(() => listed(ctx.names?.channels)));
  if (hints.format === "timezone") sources.push(choiceSource(() => listed(Intl.supportedValuesOf("timeZone"))));
  if (sources.length) attachCompletion(control, holder, sources, ctx.texts.text("editor-form.completions"));
}

function withCompletion(field, control) {
  const box = labelled(field, control);
  complete(field, control, control.parentElement);
  return box;
}

function shown(value) {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : formatJson(value);
}

export function fallbackOf({ fallback }) {
  return typeof fallback === "string" || typeof fallback === "number" ? String(fallback) : "";
}

export function textInput(field) {
  const { ctx, path, described, required } = field;
  const { hints } = described;
  const isLong = Boolean(hints.lines);
  const control = element(isLong ? "textarea" : "input", { ...(isLong ? { rows: hints.lines } : { type: "text" }), dir: "auto", spellcheck: "false", placeholder: fallbackOf(described) });
  if (hints.format === "expression") control.classList.add("mono");
  control.value = shown(ctx.read(path));
  if (hints.format === "handle") {
    control.addEventListener("change", () => renameRow(field, control.value));
  } else {
    control.addEventListener("input", () => ctx.write(path, control.value === "" && !required ? undefined : control.value));
  }
  return withCompletion(field, control);
}

/* The id of a row is a handle: edges follow, if no other row has the old or the new id. */
function renameRow({ ctx, path }, id) {
  const old = ctx.read(path);
  const siblings = (ctx.read(path.slice(0, -2)) || []).filter((_, index) => index !== path.at(-2)).map((row) => row?.id);
  const follows = typeof old === "string" && old !== "" && id !== "" && !siblings.includes(old) && !siblings.includes(id);
  const moves = follows && !edgesOfHandle(ctx.store.get(), ctx.nodeId, id).length;
  ctx.write(path, id, { change: (flow) => (moves ? renameHandle(flow, ctx.nodeId, old, id) : flow) });
}

/* A text that becomes a value: one that is none stays in the field, with its error, and does not reach the flow. */
function parsedInput(field, control, read) {
  const { ctx, path, required } = field;
  const kept = ctx.recall("draft", path);
  if (kept !== undefined) control.value = kept;
  const check = (writes) => {
    const text = control.value;
    try {
      const value = text.trim() === "" ? undefined : read(text);
      ctx.remember("draft", path, undefined);
      ctx.showLocal(path, null);
      if (writes) ctx.write(path, value === undefined && required ? "" : value);
    } catch (error) {
      ctx.remember("draft", path, text);
      ctx.showLocal(path, error.message);
    }
  };
  control.addEventListener("input", () => check(true));
  return () => kept !== undefined && check(false);
}

function numberFrom(ctx, text, isWhole) {
  const value = Number(text.trim().replace(",", "."));
  if (!Number.isFinite(value) || isWhole && !Number.isInteger(value)) throw new Error(ctx.texts.text(isWhole ? "editor-form.whole-number" : "editor-form.number"));
  return value;
}

export function numberInput(field) {
  const { ctx, path, described } = field;
  const control = element("input", { type: "text", inputmode: described.whole ? "numeric" : "decimal", autocomplete: "off", placeholder: fallbackOf(described), class: "short" });
  control.value = shown(ctx.read(path));
  const begin = parsedInput(field, control, (text) => numberFrom(ctx, text, described.whole));
  const box = labelled(field, control);
  begin();
  return box;
}

function unitOf(ms) {
  const fits = UNITS.filter(([, size]) => ms !== 0 && ms % size === 0);
  return fits.length ? fits.at(-1)[0] : "s";
}

export function durationInput(field) {
  const { ctx, path, described } = field;
  const value = ctx.read(path);
  const isNumber = typeof value === "number";
  const unit = ctx.recall("unit", path) ?? (isNumber ? unitOf(value) : typeof described.fallback === "number" ? unitOf(described.fallback) : "s");
  const size = Object.fromEntries(UNITS)[unit];
  const scaled = (ms) => String(Number((ms / size).toFixed(6)));
  const control = element("input", { type: "text", inputmode: "decimal", autocomplete: "off", class: "short", placeholder: typeof described.fallback === "number" ? scaled(described.fallback) : "" });
  control.value = isNumber ? scaled(value) : shown(value);
  const begin = parsedInput(field, control, (text) => Math.round(numberFrom(ctx, text, false) * Object.fromEntries(UNITS)[units.value]));
  const units = selectOf(UNITS.map(([name]) => [name, ctx.texts.text(`editor-form.unit-${name}`)]), unit, (name) => {
    ctx.remember("unit", path, name);
    /* The number stays, the duration changes. */
    control.dispatchEvent(new Event("input"));
  });
  units.setAttribute("aria-label", ctx.texts.text("editor-form.unit-of", { field: labelOf(field) }));
  units.dataset.key = ctx.idFor(path, "unit");
  const box = labelled(field, control, units);
  box.querySelector(".control").classList.add("beside");
  begin();
  return box;
}

/* A part of which exactly one field, a unit, has a number. */
export function intervalInput(field, units) {
  const { ctx, path } = field;
  const value = ctx.read(path) || {};
  const given = units.find((unit) => value[unit] !== undefined && value[unit] !== null);
  const chosen = ctx.recall("unit", path) ?? given ?? units[0];
  const control = element("input", { type: "text", inputmode: "numeric", autocomplete: "off", class: "short" });
  control.value = shown(value[given ?? chosen]);
  const begin = parsedInput(field, control, (text) => ({ [select.value]: numberFrom(ctx, text, true) }));
  const select = selectOf(units.map((unit) => [unit, ctx.texts.label("Interval", unit)]), chosen, (unit) => {
    ctx.remember("unit", path, unit);
    control.dispatchEvent(new Event("input"));
  });
  select.setAttribute("aria-label", ctx.texts.text("editor-form.unit-of", { field: labelOf(field) }));
  select.dataset.key = ctx.idFor(path, "unit");
  const box = labelled(field, control, select);
  box.querySelector(".control").classList.add("beside");
  begin();
  return box;
}

/* `changed(value)` writes the value, if the form depends on it. */
export function choiceInput(field, changed) {
  const { ctx, part, name, path, described, required } = field;
  const value = ctx.read(path) ?? undefined;
  const options = described.values.map((each) => [String(each), ctx.texts.value(part, name, each)]);
  if (!required || value === undefined) {
    const fallback = described.fallback === null ? null : ctx.texts.value(part, name, described.fallback);
    options.unshift(["", required ? ctx.texts.text("editor-form.choose") : fallback === null ? ctx.texts.text("editor-form.not-set") : ctx.texts.text("editor-form.default", { value: fallback })]);
  }
  if (value !== undefined && !described.values.includes(value)) options.push([shown(value), shown(value)]);
  const write = changed ?? ((next) => ctx.write(path, next));
  const control = selectOf(options, value === undefined ? "" : shown(value), (text) => write(text === "" ? undefined : described.values.find((each) => String(each) === text) ?? text));
  return labelled(field, control);
}

export function flagInput(field) {
  const { ctx, path, described } = field;
  const control = element("input", { type: "checkbox" });
  control.checked = ctx.read(path) ?? described.fallback ?? false;
  control.addEventListener("change", () => ctx.write(path, control.checked === Boolean(described.fallback) ? undefined : control.checked));
  const box = labelled(field, control);
  box.classList.add("form-flag");
  return box;
}

export function jsonMessage(ctx, text, error) {
  if (!(error instanceof JsonError)) return String(error.message);
  return ctx.texts.text("editor-form.json-error", { ...placeOf(text, error.from), problem: ctx.texts.text(`editor-json.${error.code}`) });
}

/* A value of any type: a text, or JSON. */
export function anyInput(field) {
  const { ctx, path, described: { hints }, required } = field;
  const value = ctx.read(path);
  const isText = typeof value === "string" || value === undefined && !hints.json;
  const mode = hints.text ? "text" : ctx.recall("mode", path) ?? (isText ? "text" : "json");
  const isLong = Boolean(hints.lines) || mode === "json";
  const control = element(isLong ? "textarea" : "input", { ...(isLong ? { rows: hints.lines ?? 2 } : { type: "text" }), dir: "auto", spellcheck: "false", class: mode === "json" ? "mono" : undefined });
  control.value = value === undefined ? "" : mode === "text" ? shown(value) : formatJson(value);
  let begin = () => {};
  if (mode === "text") {
    control.addEventListener("input", () => ctx.write(path, control.value === "" && !required ? undefined : control.value));
  } else {
    begin = parsedInput(field, control, (text) => {
      try {
        return parseJson(text);
      } catch (error) {
        throw new Error(jsonMessage(ctx, text, error));
      }
    });
  }
  const modes = ["text", "json"].map((name) => [name, ctx.texts.text(`editor-form.as-${name}`)]);
  const select = hints.text ? null : selectOf(modes, mode, (next) => {
    ctx.remember("mode", path, next);
    convert(field, next, control.value);
    ctx.render();
  });
  if (select) {
    select.setAttribute("aria-label", ctx.texts.text("editor-form.type-of", { field: labelOf(field) }));
    select.dataset.key = ctx.idFor(path, "mode");
    select.className = "mode";
  }
  const box = labelled(field, control, select);
  if (select) box.querySelector(".control").classList.add("beside");
  complete(field, control, control.parentElement);
  begin();
  return box;
}

/* A text becomes the JSON that it is, JSON becomes its text. */
function convert({ ctx, path }, mode, text) {
  ctx.remember("draft", path, undefined);
  if (text === "") return;
  let value = text;
  if (mode === "json") {
    try {
      value = parseJson(text);
    } catch {
      /* The text stays one: a JSON string. */
    }
  }
  ctx.write(path, value);
}
