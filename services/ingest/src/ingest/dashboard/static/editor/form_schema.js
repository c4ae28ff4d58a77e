/* What the JSON Schema of a flow states about a field, in the form in which the controls use it. */

/* {kind, hints, fallback, ...}. A kind is: choice (values), flag, number (whole, least, most), text (pattern), object
   (part), list (item, most), texts (an object of texts), values (an object of any values), any, or union (arms). */
export function describeField(schema, field) {
  const hints = field["x-editor"] || {};
  const arms = (field.anyOf || [field]).filter((arm) => arm.type !== "null");
  const fallback = field.default ?? null;
  if (arms.length > 1) return { kind: "union", hints, fallback, arms: arms.map((arm) => ({ ...describeArm(schema, arm), hints, fallback: null })) };
  return { ...describeArm(schema, arms[0]), hints, fallback };
}

function describeArm(schema, arm) {
  if (arm.$ref) return { kind: "object", part: arm.$ref.split("/").at(-1) };
  if (arm.enum) return { kind: "choice", values: arm.enum };
  switch (arm.type) {
    case "boolean":
      return { kind: "flag" };
    case "integer":
    case "number":
      return { kind: "number", whole: arm.type === "integer", least: arm.minimum, most: arm.maximum };
    case "string":
      return { kind: "text", pattern: arm.pattern, least: arm.minLength, most: arm.maxLength };
    case "array":
      return { kind: "list", item: arm.items ? describeField(schema, arm.items) : { kind: "any", hints: {}, fallback: null }, most: arm.maxItems };
    case "object":
      return { kind: arm.additionalProperties?.type === "string" ? "texts" : "values" };
    default:
      return { kind: "any" };
  }
}

export function partOf(schema, name) {
  return name === "Flow" ? schema : schema.$defs[name];
}

/* The part that describes the data of a node type. */
export function dataPart(schema, type) {
  for (const branch of schema.$defs.Node.allOf) {
    if (branch.if.properties.type.const === type) return branch.then.properties.data.$ref.split("/").at(-1);
  }
  return null;
}

export function fieldsOf(schema, name) {
  return Object.entries(partOf(schema, name).properties).filter(([, field]) => !field["x-editor"]?.hidden);
}

export function isRequired(schema, name, field) {
  return (partOf(schema, name).required || []).includes(field);
}

/* A value of the kind with all that is required, for a new row. `taken` are ids that exist. */
export function freshValue(schema, described, taken = []) {
  switch (described.kind) {
    case "object":
      return freshPart(schema, described.part, taken);
    case "choice":
      return described.values[0];
    case "flag":
      return false;
    case "number":
      return described.least ?? 0;
    case "list":
      return [];
    case "texts":
    case "values":
      return {};
    case "union":
      return freshValue(schema, described.arms[0], taken);
    default:
      return "";
  }
}

function freshPart(schema, name, taken) {
  const value = {};
  for (const [key, field] of Object.entries(partOf(schema, name).properties)) {
    const word = field["x-editor"]?.suggest;
    if (word) value[key] = freeId(word, taken);
    else if (isRequired(schema, name, key)) {
      const described = describeField(schema, field);
      value[key] = described.kind === "list" ? [freshValue(schema, described.item)] : freshValue(schema, described);
    }
  }
  /* The first option of a group, if it is a list, has one row. */
  for (const group of partOf(schema, name)["x-editor"]?.alternatives || []) {
    const [field] = Object.values(group.options)[0].filter((key) => partOf(schema, name).properties[key].anyOf?.some((arm) => arm.type === "array"));
    if (field) value[field] ??= [freshValue(schema, describeField(schema, partOf(schema, name).properties[field]).item)];
  }
  return value;
}

export function freeId(word, taken) {
  let number = 1;
  while (taken.includes(`${word}-${number}`)) number += 1;
  return `${word}-${number}`;
}

export function optionOf(group, value, chosen) {
  if (group.by) return value?.[group.by] ?? null;
  if (chosen !== undefined) return chosen;
  const options = Object.entries(group.options);
  const alone = (field) => options.filter(([, fields]) => fields.includes(field)).length === 1;
  const given = (field) => value?.[field] !== undefined && value?.[field] !== null;
  const found = options.find(([, fields]) => fields.some((field) => alone(field) && given(field)));
  return found ? found[0] : options[0][0];
}

/* Whether the group restricts the field, and its option excludes it. */
export function isExcluded(group, option, field) {
  if (!Object.values(group.options).some((fields) => fields.includes(field))) return false;
  return !(group.options[option] || []).includes(field);
}
