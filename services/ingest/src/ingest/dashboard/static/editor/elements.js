/* Makes elements of the page, and the texts in them. */

/* An element. `given`: properties, `data-…`, `aria-…` and other attributes, and listeners such as `onclick`. */
export function element(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && !name.includes("-") && name !== "list") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/* An icon of the sprite, as decoration. Nothing without the sprite. */
export function icon(sprite, name) {
  if (!sprite) return null;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${sprite}#icon-${name}`);
  svg.append(use);
  return svg;
}

/* A text of the catalogue with its parameters, as Python's format strings write them. */
export function format(text, parameters = {}) {
  const chosen = typeof text === "object" && text !== null ? text[parameters.count === 1 ? "one" : "other"] : text;
  return String(chosen ?? "").replace(/\{(\w+)\}/g, (found, name) => (name in parameters ? String(parameters[name]) : found));
}

/* States what has happened to those who do not see it. */
export function announce(text) {
  const status = document.getElementById("announcements");
  if (status) status.textContent = text;
}
