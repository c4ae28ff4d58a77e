/* Gives a node or a handle another id: in edges, and in the templates and expressions that name the node. */

const PLAIN = /^[A-Za-z_]\w*$/;
const LIQUID = /^[A-Za-z_][\w-]*$/;
const TEMPLATE = /\{\{[^]*?\}\}|\{%[^]*?%\}/g;

/* Templates of a subflow's outputs see the nodes of the subflow. */
const OTHER_SCOPE = { subflow: "output" };

function quoted(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/* The text of a template's inside or of an expression, with the other id. */
function inCode(code, from, to, isExpression) {
  const dotted = (isExpression ? PLAIN : LIQUID).test(to);
  const wanted = quoted(from);
  const pattern = new RegExp(`\\b(nodes|execution\\.resumeUrls)(?:\\.${wanted}(?![\\w-])|\\[(["'])${wanted}\\2\\])`, "g");
  return code.replace(pattern, (_, start, quote) => (dotted && !quote ? `${start}.${to}` : `${start}[${quote || '"'}${to}${quote || '"'}]`));
}

function inText(text, from, to) {
  return text.includes("{") ? text.replace(TEMPLATE, (code) => inCode(code, from, to, false)) : text;
}

function renamed(value, from, to, name = "") {
  if (typeof value === "string") return name === "expression" ? inCode(value, from, to, true) : inText(value, from, to);
  if (Array.isArray(value)) return mapped(value, (item) => renamed(item, from, to));
  if (typeof value !== "object" || value === null || JSON.isRawJSON?.(value)) return value;
  return mappedObject(value, (item, key) => renamed(item, from, to, key));
}

/* The same list if no item has changed. */
function mapped(list, change) {
  const changed = list.map(change);
  return changed.every((item, index) => item === list[index]) ? list : changed;
}

function mappedObject(object, change) {
  const changed = Object.entries(object).map(([key, value]) => [key, change(value, key)]);
  return changed.every(([key, value]) => value === object[key]) ? object : Object.fromEntries(changed);
}

export function renameNode(flow, from, to) {
  const nodes = flow.nodes.map((node) => {
    const kept = OTHER_SCOPE[node.type];
    const data = node.data && mappedObject(node.data, (value, key) => (key === kept ? value : renamed(value, from, to, key)));
    const id = node.id === from ? to : node.id;
    return id === node.id && data === node.data ? node : { ...node, id, ...(data ? { data } : {}) };
  });
  const edges = (flow.edges || []).map((edge) => {
    const source = edge.source === from ? to : edge.source;
    const target = edge.target === from ? to : edge.target;
    return source === edge.source && target === edge.target ? edge : { ...edge, source, target };
  });
  return { ...flow, nodes, ...(flow.edges ? { edges } : {}) };
}

export function renameHandle(flow, nodeId, from, to) {
  if (!flow.edges) return flow;
  const leaves = (edge) => edge.source === nodeId && edge.sourceHandle === from;
  return { ...flow, edges: flow.edges.map((edge) => (leaves(edge) ? { ...edge, sourceHandle: to } : edge)) };
}

export function edgesOfHandle(flow, nodeId, handle) {
  return (flow.edges || []).filter((edge) => edge.source === nodeId && edge.sourceHandle === handle);
}
