/* JSON as a text: where each value is in it, what is wrong with it, and the smallest changes that give it another value.

   Numbers that a double would change keep their digits: parsed, they are `JSON.rawJSON`, which JSON.stringify writes as
   it was read. Two values are the same number if they are written with the same value, so an unchanged text stays. */

const WIDTH = 80;
const INDENT = 2;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const MAX_DEPTH = 200;
const LITERALS = [["true", true], ["false", false], ["null", null]];

export class JsonError extends Error {
  /* `code` is the id of a text below `editor-json`; `from` and `to` are positions in the text. */
  constructor(code, from, to = from + 1) {
    super(code);
    Object.assign(this, { code, from, to });
  }
}

/* The value and the place of everything in a text: {type, value, from, to, items?, members?: [{key, from, to, node}]}. */
export function parseTree(text) {
  let at = 0;
  const skip = () => {
    SPACE.lastIndex = at;
    at += SPACE.exec(text)[0].length;
  };
  const fail = (code, from = at, to = from + 1) => {
    throw new JsonError(at >= text.length ? "unexpected-end" : code, from, Math.min(to, Math.max(text.length, from)));
  };

  function string() {
    const from = at;
    for (at += 1; text[at] !== '"'; at += text[at] === "\\" ? 2 : 1) {
      if (at >= text.length) fail("unexpected-end");
      if (text[at] < " ") fail("control-character");
    }
    at += 1;
    try {
      return { type: "string", value: JSON.parse(text.slice(from, at)), from, to: at };
    } catch {
      throw new JsonError("escape", from, at);
    }
  }

  function number() {
    const from = at;
    NUMBER.lastIndex = at;
    const found = NUMBER.exec(text);
    if (!found) fail("unexpected");
    at += found[0].length;
    return { type: "number", value: numberOf(found[0]), from, to: at };
  }

  function list(depth) {
    const node = { type: "list", value: [], items: [], from: at };
    at += 1;
    skip();
    while (text[at] !== "]") {
      const item = value(depth + 1);
      node.items.push(item);
      node.value.push(item.value);
      if (!separated("]")) break;
    }
    at += 1;
    return { ...node, to: at };
  }

  function object(depth) {
    const node = { type: "object", value: {}, members: [], from: at };
    at += 1;
    skip();
    while (text[at] !== "}") {
      if (text[at] !== '"') fail("name-expected");
      const name = string();
      if (Object.hasOwn(node.value, name.value)) throw new JsonError("duplicate-name", name.from, name.to);
      skip();
      if (text[at] !== ":") fail("colon-expected");
      at += 1;
      const member = value(depth + 1);
      node.members.push({ key: name.value, from: name.from, to: name.to, node: member });
      define(node.value, name.value, member.value);
      if (!separated("}")) break;
    }
    at += 1;
    return { ...node, to: at };
  }

  /* Whether another item follows. */
  function separated(end) {
    skip();
    if (text[at] === end) return false;
    if (text[at] !== ",") fail("comma-expected");
    at += 1;
    skip();
    if (text[at] === end) fail("comma-before-end");
    return true;
  }

  function value(depth) {
    if (depth > MAX_DEPTH) fail("too-deep");
    skip();
    const first = text[at];
    if (first === '"') return string();
    if (first === "{") return object(depth);
    if (first === "[") return list(depth);
    for (const [word, literal] of LITERALS) {
      if (!text.startsWith(word, at)) continue;
      at += word.length;
      return { type: "literal", value: literal, from: at - word.length, to: at };
    }
    return number();
  }

  const tree = value(0);
  skip();
  if (at < text.length) fail("unexpected");
  return tree;
}

export function parseJson(text) {
  return parseTree(text).value;
}

/* Line and column of a position, from 1. */
export function placeOf(text, position) {
  const before = text.slice(0, position);
  const start = before.lastIndexOf("\n") + 1;
  return { line: before.split("\n").length, column: position - start + 1 };
}

function define(object, key, value) {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}

function numberOf(source) {
  const value = Number(source);
  const isExact = Number.isFinite(value) && decimal(source) === decimal(String(value));
  return isExact || !JSON.rawJSON ? value : JSON.rawJSON(source);
}

/* The digits of a number and its power of ten: the same for all ways to write it. */
function decimal(source) {
  const [, whole, fraction = "", power = "0"] = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source);
  const digits = (whole + fraction).replace(/^0+/, "");
  const kept = digits.replace(/0+$/, "");
  return kept && `${kept} ${Number(power) - fraction.length + digits.length - kept.length}`;
}

function isRaw(value) {
  return Boolean(JSON.isRawJSON?.(value));
}

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isRaw(value);
}

/* Whether two values are the same JSON. The order of names counts only in `ordered`. */
export function isSame(a, b) {
  if (Object.is(a, b) || a === b) return true;
  if (isRaw(a) || isRaw(b)) return isRaw(a) && isRaw(b) && a.rawJSON === b.rawJSON;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, index) => isSame(item, b[index]));
  if (!isObject(a) || !isObject(b)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && isSame(a[name], b[name]));
}

/* `after`, with the objects and lists of `before` where they are the same JSON: who compares by identity sees what has
   changed. */
export function sharing(before, after) {
  if (before === after || typeof after !== "object" || after === null || isRaw(after)) return isSame(before, after) ? before : after;
  if (Array.isArray(after)) {
    if (!Array.isArray(before)) return after;
    const list = after.map((item, index) => sharing(before[index], item));
    return list.length === before.length && list.every((item, index) => item === before[index]) ? before : list;
  }
  if (!isObject(before)) return after;
  let isEqual = Object.keys(before).join("\n") === Object.keys(after).join("\n");
  const object = {};
  for (const [name, value] of Object.entries(after)) {
    define(object, name, sharing(Object.hasOwn(before, name) ? before[name] : undefined, value));
    isEqual &&= object[name] === before[name];
  }
  return isEqual ? before : object;
}

/* JSON with line breaks: what fits into a line stays on one. `indent` is that of the line it begins in. */
export function formatJson(value, indent = 0, used = indent) {
  const flat = inOneLine(value);
  if (typeof value !== "object" || value === null || isRaw(value) || used + flat.length <= WIDTH) return flat;
  const inner = " ".repeat(indent + INDENT);
  const items = Array.isArray(value)
    ? value.map((item) => formatJson(item, indent + INDENT))
    : entries(value).map(([name, item]) => {
        const start = `${JSON.stringify(name)}: `;
        return start + formatJson(item, indent + INDENT, indent + INDENT + start.length);
      });
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return `${open}\n${inner}${items.join(`,\n${inner}`)}\n${" ".repeat(indent)}${close}`;
}

function entries(object) {
  return Object.entries(object).filter(([, value]) => value !== undefined);
}

function inOneLine(value) {
  if (Array.isArray(value)) return `[${value.map((item) => inOneLine(item ?? null)).join(", ")}]`;
  if (!isObject(value)) return JSON.stringify(value ?? null);
  const members = entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${inOneLine(item)}`);
  return `{${members.join(", ")}}`;
}

/* The changes [{from, to, insert}] after which the text has this value, in the order of the text. What is the same
   stays as it is written. `before` is the value of the text: parts that are the same object in both are not compared. */
export function changesTo(text, value, tree = parseTree(text), before = tree.value) {
  const changes = [];
  change(text, tree, before, value, changes);
  return changes;
}

export function applyChanges(text, changes) {
  return changes.reduceRight((result, { from, to, insert }) => result.slice(0, from) + insert + result.slice(to), text);
}

function change(text, node, before, value, changes) {
  if (before === value || isSame(before, value)) return;
  if (node.type === "object" && isObject(value) && node.members.length && Object.keys(value).length) {
    changeMembers(text, node, before, value, changes);
  } else if (node.type === "list" && Array.isArray(value) && node.items.length && value.length) {
    changeItems(text, node, before, value, changes);
  } else {
    const indent = indentAt(text, node.from);
    changes.push({ from: node.from, to: node.to, insert: formatJson(value, indent, column(text, node.from)) });
  }
}

function changeMembers(text, node, before, value, changes) {
  const kept = node.members.filter(({ key }) => value[key] !== undefined && Object.hasOwn(value, key));
  const added = entries(value).filter(([key]) => !Object.hasOwn(node.value, key));
  if (!kept.length) {
    changes.push({ from: node.from, to: node.to, insert: formatJson(value, indentAt(text, node.from), column(text, node.from)) });
    return;
  }
  const inserts = added.map(([key, item]) => (indent) => {
    const start = `${JSON.stringify(key)}: `;
    return start + formatJson(item, indent, indent + start.length);
  });
  const parts = node.members.map((member) => ({ from: member.from, to: member.node.to, kept: kept.includes(member) }));
  for (const member of node.members) {
    if (kept.includes(member)) change(text, member.node, before[member.key], value[member.key], changes);
  }
  removeAndAppend(text, node, parts, inserts, changes);
}

function changeItems(text, node, before, value, changes) {
  const old = node.items;
  if (old.length === value.length) {
    old.forEach((item, index) => change(text, item, before[index], value[index], changes));
    return;
  }
  let head = 0;
  while (head < Math.min(old.length, value.length) && isSame(before[head], value[head])) head += 1;
  let tail = 0;
  while (tail < Math.min(old.length, value.length) - head && isSame(before.at(-1 - tail), value.at(-1 - tail))) tail += 1;
  const removed = old.slice(head, old.length - tail);
  const added = value.slice(head, value.length - tail);
  const paired = Math.min(removed.length, added.length);
  for (let index = 0; index < paired; index += 1) change(text, removed[index], before[head + index], added[index], changes);
  const gone = new Set(removed.slice(paired));
  const parts = old.map((item) => ({ from: item.from, to: item.to, kept: !gone.has(item) }));
  const inserts = added.slice(paired).map((item) => (indent) => formatJson(item, indent));
  removeAndAppend(text, node, parts, inserts, changes, head + paired);
}

/* Removes the parts that are not kept, each with one comma, and adds others after the first `after` parts. */
function removeAndAppend(text, node, parts, inserts, changes, after = parts.length) {
  if (parts.every((part) => !part.kept)) {
    const first = parts[0];
    const added = inserts.map((insert) => insert(indentAt(text, first.from))).join(", ");
    changes.push({ from: first.from, to: parts.at(-1).to, insert: added });
    changes.sort((a, b) => a.from - b.from);
    return;
  }
  const firstKept = parts.findIndex((part) => part.kept);
  parts.forEach((part, index) => {
    if (part.kept) return;
    const isBeforeAll = index < firstKept;
    changes.push(isBeforeAll ? { from: part.from, to: parts[index + 1].from, insert: "" } : { from: parts[index - 1].to, to: part.to, insert: "" });
  });
  if (inserts.length) {
    const isOnLines = text.slice(node.from, parts[0].from).includes("\n");
    const indent = isOnLines ? column(text, parts[0].from) : indentAt(text, node.from);
    const separator = isOnLines ? `,\n${" ".repeat(indent)}` : ", ";
    const written = inserts.map((insert) => insert(indent));
    const place = after === 0 ? parts[0].from : parts[after - 1].to;
    const insert = after === 0 ? written.map((each) => each + separator).join("") : written.map((each) => separator + each).join("");
    changes.push({ from: place, to: place, insert });
  }
  changes.sort((a, b) => a.from - b.from || a.to - b.to);
}

function column(text, position) {
  return position - (text.lastIndexOf("\n", position - 1) + 1);
}

function indentAt(text, position) {
  const start = text.lastIndexOf("\n", position - 1) + 1;
  return /^ */.exec(text.slice(start))[0].length;
}

/* The node of a field such as `nodes[2].data.headers.X-Id`, or the nearest one around it. Names may have dots. */
export function nodeAt(tree, field) {
  let node = tree;
  let rest = field;
  while (rest) {
    const index = /^\[(\d+)\]\.?/.exec(rest);
    if (index) {
      if (!node.items?.[index[1]]) return node;
      node = node.items[index[1]];
      rest = rest.slice(index[0].length);
      continue;
    }
    const fits = (key) => rest === key || rest.startsWith(`${key}.`) || rest.startsWith(`${key}[`);
    const member = node.members?.filter(({ key }) => key && fits(key)).sort((a, b) => b.key.length - a.key.length)[0];
    if (!member) return node;
    node = member.node;
    rest = rest.slice(member.key.length).replace(/^\./, "");
  }
  return node;
}
