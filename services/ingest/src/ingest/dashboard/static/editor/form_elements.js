/* Elements of the forms: a field with label, help and problems, a group of fields, buttons, and choices. */

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/* A field whose label is bound to one control. `field`: {ctx, part, name, path, required, label}. */
export function labelled(field, control, ...others) {
  const { ctx, path, required } = field;
  const [help, messages] = notes(field);
  control.id = ctx.idFor(path);
  control.dataset.key = ctx.idFor(path);
  control.setAttribute("aria-describedby", `${help ? `${help.id} ` : ""}${messages.id}`);
  if (required) control.setAttribute("aria-required", "true");
  ctx.register(path, control, messages);
  const label = element("label", { for: control.id, text: labelOf(field) });
  if (required && field.label === undefined) label.append(" ", element("span", { class: "required", text: ctx.texts.text("editor-form.required") }));
  return element("div", { class: "form-field" }, label, element("div", { class: "control" }, control, ...others), help, messages);
}

/* A group of controls under one name. */
export function grouped(field, ...children) {
  const [help, messages] = notes(field);
  field.ctx.register(field.path, null, messages);
  const legend = element("legend", { text: labelOf(field) });
  if (field.required) legend.append(" ", element("span", { class: "required", text: field.ctx.texts.text("editor-form.required") }));
  const described = `${help ? `${help.id} ` : ""}${messages.id}`;
  return element("fieldset", { class: "form-group", "aria-describedby": described }, legend, help, messages, ...children);
}

export function labelOf({ ctx, part, name, label }) {
  return label ?? ctx.texts.label(part, name);
}

function notes({ ctx, part, name, path, label }) {
  const help = label === undefined ? ctx.texts.help(part, name) : "";
  const shown = help ? element("p", { class: "help", id: ctx.idFor(path, "help"), text: help }) : null;
  return [shown, element("div", { class: "problems", id: ctx.idFor(path, "problems") })];
}

/* Options of which one is chosen, as radio buttons. `options`: [[value, text]]. */
export function choices(ctx, path, legend, options, chosen, choose) {
  const name = ctx.idFor(path, "choice");
  const buttons = options.map(([value, text]) => {
    const input = element("input", { type: "radio", name, value, "data-key": `${name}-${value}`, onchange: () => choose(value) });
    input.checked = value === chosen;
    return element("label", { class: "option" }, input, text);
  });
  return element("fieldset", { class: "choices" }, element("legend", { text: legend }), element("div", { class: "options" }, ...buttons));
}

export function button(text, click, { key, label, ...properties } = {}) {
  return element("button", { type: "button", text, "aria-label": label, title: label, "data-key": key, onclick: click, ...properties });
}

export function selectOf(options, chosen, change) {
  const select = element("select", { onchange: () => change(select.value) });
  for (const [value, text] of options) select.append(new Option(text, value, false, value === chosen));
  return select;
}
