/* The fields of a part of the JSON Schema: each with its control, those that apply, the rarely needed ones last. */
import { anyInput, choiceInput, durationInput, flagInput, intervalInput, numberInput, textInput } from "editor/field_inputs";
import { choices, element, grouped, labelOf } from "editor/form_elements";
import { describeField, fieldsOf, freshValue, isExcluded, isRequired, optionOf, partOf } from "editor/form_schema";
import { listInput, mapInput } from "editor/field_rows";
import { isObject } from "editor/json_text";

/* All fields of a part at a path. */
export function partFields(ctx, part, path) {
  const value = ctx.read(path);
  const groups = (partOf(ctx.schema, part)["x-editor"]?.alternatives || []).map((group) => {
    const chosen = ctx.recall(`option-${group.name}`, path);
    return { ...group, option: optionOf(group, value, chosen) };
  });
  const has = (field) => isObject(value) && value[field] !== undefined && value[field] !== null;
  const isShown = (field, within = groups) => within.every((group) => !isExcluded(group, group.option, field));
  const shown = document.createDocumentFragment();
  const rare = [];
  const offered = new Set();
  for (const [name, schema] of fieldsOf(ctx.schema, part)) {
    for (const group of groups) {
      const others = groups.filter((other) => other !== group);
      const own = Object.values(group.options).flat();
      if (group.by || offered.has(group) || !own.includes(name) || !own.some((field) => isShown(field, others))) continue;
      offered.add(group);
      shown.append(groupChoice(ctx, part, path, group));
    }
    /* A field that does not apply and is there nevertheless is shown, so that it can be removed. */
    if (!isShown(name) && !has(name)) continue;
    const field = { ctx, part, name, path: [...path, name], described: describeField(ctx.schema, schema), required: isRequired(ctx.schema, part, name) };
    const by = groups.find((group) => group.by === name);
    const control = by ? choiceInput(field, (next) => choose(ctx, part, path, by, next)) : controlOf(field);
    control.dataset.field = name;
    if (field.described.hints.advanced) rare.push(control);
    else shown.append(control);
  }
  if (rare.length) shown.append(rareFields(ctx, path, rare));
  return shown;
}

function rareFields(ctx, path, controls) {
  const details = element("details", { class: "rare" }, element("summary", { text: ctx.texts.text("editor-form.more"), "data-key": ctx.idFor(path, "more") }), ...controls);
  details.open = ctx.recall("open", path) ?? false;
  details.addEventListener("toggle", () => ctx.remember("open", path, details.open || undefined));
  return details;
}

function groupChoice(ctx, part, path, group) {
  const options = Object.keys(group.options).map((option) => [option, ctx.texts.value(part, group.name, option)]);
  return choices(ctx, [...path, group.name], ctx.texts.label(part, group.name), options, group.option, (next) => choose(ctx, part, path, group, next));
}

/* Chooses an option: the fields of the others leave the flow, and return when their option is chosen again. */
function choose(ctx, part, path, group, next) {
  const before = ctx.read(path);
  const value = isObject(before) ? { ...before } : {};
  const stashed = { ...ctx.recall(`stash-${group.name}`, path) };
  const kept = group.options[next] || [];
  for (const field of new Set(Object.values(group.options).flat())) {
    if (kept.includes(field) || value[field] === undefined) continue;
    stashed[field] = value[field];
    delete value[field];
  }
  for (const field of kept) {
    if (value[field] !== undefined) continue;
    const described = describeField(ctx.schema, partOf(ctx.schema, part).properties[field]);
    if (stashed[field] !== undefined) value[field] = stashed[field];
    else if (described.kind === "list" && field === kept.find((each) => each !== "logic")) value[field] = [freshValue(ctx.schema, described.item)];
    delete stashed[field];
  }
  if (group.by) {
    if (next === undefined) delete value[group.by];
    else value[group.by] = next;
  } else {
    ctx.remember(`option-${group.name}`, path, next);
  }
  ctx.remember(`stash-${group.name}`, path, stashed);
  ctx.write(path, value);
  ctx.render();
}

function controlOf(field) {
  const { ctx, path, described, required } = field;
  switch (described.kind) {
    case "choice":
      return choiceInput(field);
    case "flag":
      return flagInput(field);
    case "number":
      return described.hints.format === "duration-ms" ? durationInput(field) : numberInput(field);
    case "text":
      return textInput(field);
    case "list":
      return listInput(field, (place, title) => rowContent(field, described.item, place, title));
    case "texts":
      return mapInput(field, false);
    case "values":
      return mapInput(field, true);
    case "union":
      return unionInput(field);
    case "object": {
      const editor = partOf(ctx.schema, described.part)["x-editor"];
      if (editor?.control === "interval") return intervalInput(field, Object.keys(partOf(ctx.schema, described.part).properties));
      return grouped({ ...field, required }, partFields(ctx, described.part, path));
    }
    default:
      return anyInput(field);
  }
}

function rowContent(field, item, place, title) {
  if (item.kind === "object") return partFields(field.ctx, item.part, place);
  return controlOf({ ...field, path: place, described: { ...item, hints: { ...field.described.hints, ...item.hints, lines: undefined } }, required: true, label: title });
}

/* A field that takes several types: the type is chosen. */
function unionInput(field) {
  const { ctx, part, name, path, described } = field;
  const value = ctx.read(path);
  const kinds = described.arms.map((arm) => arm.kind);
  const chosen = ctx.recall("arm", path) ?? kinds[armOf(described.arms, value)];
  const options = kinds.map((kind) => [kind, ctx.texts.value(part, name, kind)]);
  const choice = choices(ctx, path, ctx.texts.text("editor-form.type-of", { field: labelOf(field) }), options, chosen, (next) => chooseArm(field, chosen, next));
  const arm = described.arms.find(({ kind }) => kind === chosen);
  const inner = arm.kind === "object" ? grouped(field, choice, partFields(ctx, arm.part, path)) : null;
  return inner ?? withChoice(controlOf({ ...field, described: arm }), choice);
}

function withChoice(control, choice) {
  if (control.tagName === "FIELDSET") control.querySelector(".problems").after(choice);
  else control.append(choice);
  return control;
}

function armOf(arms, value) {
  const fits = { text: typeof value === "string", list: Array.isArray(value), object: isObject(value), values: isObject(value) };
  const found = arms.findIndex(({ kind }) => fits[kind]);
  if (found >= 0) return found;
  /* One is more common than several. */
  const single = arms.findIndex(({ kind }) => kind !== "list");
  return arms.some(({ kind }) => kind === "values") ? 0 : single;
}

function chooseArm({ ctx, path, described }, from, to) {
  const value = ctx.read(path);
  const stashed = { ...ctx.recall("stash", path), [from]: value };
  const isSingle = (kind) => kind === "text" || kind === "object";
  let next = stashed[to];
  if (to === "list" && isSingle(from) && value !== undefined) next = [value, ...(stashed.list ?? []).slice(1)];
  else if (isSingle(to) && from === "list") next = value?.[0];
  else if (to === "list" && next === undefined) next = described.arms.some(({ kind }) => isSingle(kind)) ? [freshValue(ctx.schema, described.arms.find(({ kind }) => kind === "list").item)] : undefined;
  ctx.remember("arm", path, to);
  ctx.remember("stash", path, stashed);
  ctx.write(path, next);
  ctx.render();
}
