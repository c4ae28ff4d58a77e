/* The state of the editor: the flow, its history, the selected nodes, the problems, and the names in scope.

   The flow is the JSON of a definition. It is never changed in place: each edit sets a new object that shares what did
   not change. Fields that the editor does not know stay.

   | method | meaning |
   |---|---|
   | get() | the flow |
   | set(flow, { undoable = true, origin = "", merge = "" }) | replaces the flow; edits with the same `merge` within MERGE_MS are one step of undo, as are those of a typing origin (form, json) with the same selection |
   | subscribe(fn) | calls fn(flow, origin) after each change; returns the function that ends it. For other changes, `origin` is "selection", "problems" or "scopes", and the flow is the same object |
   | undo(), redo(), canUndo(), canRedo() | the history; the origin is "undo" or "redo" |
   | select(ids), selection() | the selected nodes |
   | problems, setProblems(list) | [{ severity, nodeId, field, message, code }] |
   | scope(nodeId), setScopes(map) | [{ name, kind, detail }] |
   | isReadOnly | set() ignores everything */

export const MERGE_MS = 1000;
const MAX_STEPS = 200;
const TYPING = new Set(["form", "json"]);

function idsOf(flow) {
  return new Set((Array.isArray(flow?.nodes) ? flow.nodes : []).map((node) => node?.id));
}

export function createStore(initialFlow, { isReadOnly = false, now = () => Date.now() } = {}) {
  let flow = initialFlow;
  let past = [];
  let future = [];
  let selected = [];
  let problems = [];
  let scopes = {};
  let lastMerge = "";
  let lastAt = 0;
  const listeners = new Set();

  function notify(origin) {
    for (const listener of [...listeners]) listener(flow, origin);
  }

  function replace(next, origin) {
    flow = next;
    const ids = idsOf(flow);
    if (selected.some((id) => !ids.has(id))) selected = selected.filter((id) => ids.has(id));
    notify(origin);
  }

  function travel(from, to, origin) {
    if (!from.length || isReadOnly) return false;
    to.push(flow);
    lastMerge = "";
    replace(from.pop(), origin);
    return true;
  }

  return {
    isReadOnly,
    get: () => flow,
    set(next, { undoable = true, origin = "", merge = "" } = {}) {
      if (next === flow || isReadOnly) return;
      const at = now();
      const merges = merge || (TYPING.has(origin) ? `${origin} ${selected.join(" ")}` : "");
      if (undoable) {
        const isSameStep = merges !== "" && merges === lastMerge && at - lastAt < MERGE_MS;
        if (!isSameStep) past = [...past.slice(1 - MAX_STEPS), flow];
        future = [];
        lastMerge = merges;
        lastAt = at;
      }
      replace(next, origin);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    undo: () => travel(past, future, "undo"),
    redo: () => travel(future, past, "redo"),
    canUndo: () => past.length > 0 && !isReadOnly,
    canRedo: () => future.length > 0 && !isReadOnly,
    select(ids) {
      const known = idsOf(flow);
      const next = [...new Set(ids)].filter((id) => known.has(id));
      if (next.length === selected.length && next.every((id, index) => id === selected[index])) return;
      selected = next;
      notify("selection");
    },
    selection: () => selected,
    get problems() {
      return problems;
    },
    setProblems(list) {
      problems = list;
      notify("problems");
    },
    scope: (nodeId) => scopes[nodeId] ?? [],
    setScopes(map) {
      scopes = map ?? {};
      notify("scopes");
    },
  };
}
