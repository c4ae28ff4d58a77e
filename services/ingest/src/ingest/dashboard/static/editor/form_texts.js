/* The texts of the forms in the language of the reader. `texts` has them by id, as in messages/editor_fields.toml. */

export function createTexts(texts) {
  function text(id, parameters = {}) {
    const found = texts[id];
    const message = typeof found === "object" && found ? found[parameters.count === 1 ? "one" : "other"] : found;
    return (message ?? id).replace(/\{(\w+)\}/g, (whole, name) => String(parameters[name] ?? whole));
  }

  function first(fallback, ...ids) {
    const id = ids.find((each) => Object.hasOwn(texts, each));
    return id ? text(id) : fallback;
  }

  return {
    text,
    label: (part, field) => first(field, `editor-fields.${part}.${field}`, `editor-fields.${field}`),
    help: (part, field) => first("", `editor-help.${part}.${field}`, `editor-help.${field}`),
    value: (part, field, value) => first(String(value), `editor-values.${part}.${field}.${value}`, `editor-values.${field}.${value}`),
    part: (part) => first(part, `editor-parts.${part}`),
  };
}
