/* The node types: icon, the data of a new node, its handles, and a summary of its data.

   The handles are those that the server accepts (the method `handles` of each type in filas.flows.nodes). */

const text = (value) => (typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value));

function ids(list) {
  return (Array.isArray(list) ? list : []).map((item) => item?.id).filter((id) => typeof id === "string" && id);
}

function fallible(data) {
  return data.onError === "branch" ? ["out", "error"] : ["out"];
}

function inputHandles(data) {
  const choices = ids(data.choices);
  const other = data.kind === "choice" && !choices.includes("other") ? ["other"] : [];
  const error = data.onError === "branch" ? ["error"] : [];
  return [...new Set([...choices, "out", "invalid", "timeout", ...other, ...error])];
}

function webhookHandles(data) {
  if (data.mode === "wait") return ["out", "timeout"];
  return data.mode === "send" ? fallible(data) : ["out"];
}

function rule(data) {
  if (data.expression) return text(data.expression);
  const rules = Array.isArray(data.rules) ? data.rules : [];
  const words = rules.map((one) => [text(one?.variable), text(one?.operator), text(one?.value)].filter(Boolean).join(" "));
  return words.join(` ${data.logic === "or" ? "or" : "and"} `);
}

function delay(data) {
  if (data.every) return text(data.every);
  return data.ms === undefined ? text(data.until ?? data.cron) : duration(data.ms);
}

/* Milliseconds in the largest units: 90000 is "1 min 30 s". */
export function duration(ms) {
  const units = [["d", 86400000], ["h", 3600000], ["min", 60000], ["s", 1000], ["ms", 1]];
  const parts = [];
  let rest = Number(ms) || 0;
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size);
    if (count) parts.push(`${count} ${unit}`);
    rest -= count * size;
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

function message(data) {
  return text(data.text ?? data.media?.caption ?? data.media?.url ?? data.template?.name);
}

function assignments(data) {
  return (Array.isArray(data.assignments) ? data.assignments : []).map((one) => `${text(one?.variable)} = ${text(one?.value)}`).join(", ");
}

export const NODE_TYPES = {
  webhook: { icon: "webhook", create: () => ({ mode: "trigger" }), handles: webhookHandles, summary: (data) => text(data.url ?? data.mode) },
  message: { icon: "send", create: () => ({ text: "" }), handles: fallible, summary: message },
  input: { icon: "messages-square", create: () => ({ prompt: "" }), handles: inputHandles, summary: (data) => text(data.prompt) },
  condition: { icon: "git-compare", create: () => ({ rules: [] }), handles: () => ["true", "false"], summary: rule },
  switch: {
    icon: "workflow",
    create: () => ({ cases: [] }),
    handles: (data) => [...new Set([...ids(data.cases), "default"])],
    summary: (data) => ids(data.cases).join(", "),
  },
  "set-variable": { icon: "pencil", create: () => ({ assignments: [] }), handles: () => ["out"], summary: assignments },
  api: { icon: "zap", create: () => ({ method: "GET", url: "" }), handles: fallible, summary: (data) => `${text(data.method ?? "GET")} ${text(data.url)}` },
  delay: { icon: "timer", create: () => ({ ms: 60000 }), handles: () => ["out"], summary: delay },
  loop: { icon: "refresh-cw", create: () => ({ items: "" }), handles: () => ["loop", "done"], summary: (data) => text(data.items) },
  subflow: { icon: "layers", create: () => ({ flowId: "" }), handles: fallible, summary: (data) => text(data.flowId) },
  notify: { icon: "bell", create: () => ({ channel: "", to: "", text: "" }), handles: fallible, summary: (data) => text(data.text) },
  end: { icon: "square", create: () => ({}), handles: () => [], summary: (data) => text(data.status ?? "succeeded") },
};

function dataOf(node) {
  return typeof node.data === "object" && node.data !== null ? node.data : {};
}

export function iconOf(node) {
  return NODE_TYPES[node.type]?.icon ?? "circle";
}

/* The handles of a node, in their order. Those that only its edges name come last, so that each edge is drawn. */
export function handlesOf(node, edges) {
  const known = NODE_TYPES[node.type]?.handles(dataOf(node)) ?? ["out"];
  const used = edges.map((edge) => edge.sourceHandle).filter((handle) => typeof handle === "string" && handle);
  return [...new Set([...known, ...used])];
}

/* The handle from which an edge without `sourceHandle` leaves: the only one. */
export function handleOf(edge, handles) {
  return edge.sourceHandle || (handles.length ? handles[0] : "out");
}

export function summaryOf(node) {
  const summary = NODE_TYPES[node.type]?.summary(dataOf(node)) ?? "";
  return summary.length > 160 ? `${summary.slice(0, 159)}…` : summary;
}

/* The name of a node: its label, else its id. */
export function nameOf(node) {
  return text(dataOf(node).label) || node.id;
}

/* What a handle is called: the title of a choice, a word of the catalogue, else its id. */
export function handleName(node, handle, texts) {
  const choice = (Array.isArray(dataOf(node).choices) ? node.data.choices : []).find((one) => one?.id === handle);
  return text(choice?.title) || texts[`editor.handle-${handle}`] || handle;
}
