/* Saves the draft and has the flow checked while it is edited.

   createSaving({ store, server, data, show }) returns { save, check, claim, revision, baseVersion, … }. `show(state,
   parameters)` states what is going on: "saved", "saving", "unsaved", "unnamed", "save-failed", "taken". A conflict is
   given to `onConflict`, and nothing is saved until it is decided. */

const CHECK_MS = 400;
const SAVE_MS = 1000;
const RETRY_MS = 5000;
const NOT_EDITS = new Set(["selection", "problems", "scopes"]);

export function createSaving({ store, server, data, show, onConflict, onClaimed }) {
  let { revision, baseVersion } = data;
  let isNew = data.isNew;
  let saved = store.get();
  let running = null;
  let saveTimer = 0;
  let checkTimer = 0;
  let checks = 0;
  let isInConflict = false;
  let wantedId = "";

  const isSaved = () => store.get() === saved;

  async function check() {
    clearTimeout(checkTimer);
    checks += 1;
    const number = checks;
    try {
      const { status, data: found } = await server.send("check", { definition: JSON.stringify(store.get()) });
      if (number !== checks) return null;
      if (status !== 200) throw new Error(found.detail ?? String(status));
      const mark = (severity) => (one) => ({ severity, nodeId: one.nodeId ?? null, field: one.field ?? "", message: one.message, code: one.code ?? "" });
      store.setProblems([...found.errors.map(mark("error")), ...found.warnings.map(mark("warning"))]);
      store.setScopes(found.scopes);
      return found;
    } catch (error) {
      if (number === checks) show("check-failed", { reason: error.message });
      return null;
    }
  }

  /* A new flow gets its id with the first draft. The id must be free. */
  async function claim(id) {
    server.setFlowId(id);
    const { status, data: found } = await server.send("differences", { definition: "{}" });
    const isTaken = status === 200 && found.beforeVersion !== null;
    if (status === 200 && !isTaken) return true;
    server.setFlowId(data.flowId);
    show(isTaken ? "taken" : "save-failed", { reason: found.detail ?? "", id });
    return false;
  }

  async function saveOnce() {
    const flow = store.get();
    if (isNew && !wantedId) {
      show("unnamed");
      return;
    }
    show("saving");
    const isFirst = isNew;
    const id = wantedId; /* Another one may be typed meanwhile. */
    if (isFirst && !(await claim(id))) return;
    const { status, data: answer } = await server.send("draft", { definition: JSON.stringify(flow), revision: String(revision), baseVersion: String(baseVersion) });
    if (status === 200) {
      revision = answer.revision;
      saved = flow;
      if (isFirst) {
        isNew = false;
        onClaimed(id);
      }
      show(isSaved() ? "saved" : "unsaved");
    } else if (status === 409 && isFirst) {
      server.setFlowId(data.flowId);
      show("taken", { id });
    } else if (status === 409) {
      isInConflict = true;
      onConflict({ kind: "draft", ...answer });
    } else {
      throw new Error(answer.errors?.[0]?.message ?? answer.detail ?? String(status));
    }
  }

  /* Saves what is not saved. One request at a time. */
  async function save() {
    clearTimeout(saveTimer);
    if (store.isReadOnly) return;
    while (running) await running;
    if ((isSaved() && !isNew) || isInConflict) return;
    running = saveOnce().catch((error) => {
      show("save-failed", { reason: error.message });
      saveTimer = setTimeout(save, RETRY_MS);
    });
    await running;
    running = null;
    if (!isSaved() && !isInConflict && !isNew) saveTimer = setTimeout(save, SAVE_MS);
  }

  function edited() {
    clearTimeout(checkTimer);
    checkTimer = setTimeout(check, CHECK_MS);
    if (isInConflict) return;
    show(isSaved() ? "saved" : isNew && !wantedId ? "unnamed" : "unsaved");
    clearTimeout(saveTimer);
    saveTimer = setTimeout(save, SAVE_MS);
  }

  if (!store.isReadOnly) {
    store.subscribe((flow, origin) => {
      if (!NOT_EDITS.has(origin)) edited();
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState !== "hidden" || isSaved() || isInConflict || isNew || running) return;
      save();
    });
    window.addEventListener("beforeunload", (event) => {
      if (!isSaved() && (isNew || isInConflict)) event.preventDefault();
    });
  }

  return {
    check,
    save,
    isSaved,
    isNew: () => isNew,
    revision: () => revision,
    baseVersion: () => baseVersion,
    /* The id that a new flow gets. */
    wantId(id) {
      wantedId = id;
      if (isNew && !isSaved()) edited();
    },
    /* "Keep mine": what the other has saved or published is replaced. */
    keepMine(conflict) {
      if (conflict.kind === "draft") revision = conflict.revision ?? 0;
      else baseVersion = conflict.version ?? 0;
      isInConflict = false;
      return save();
    },
    /* What is not saved is given up: the page is loaded again. */
    leave() {
      saved = store.get();
      clearTimeout(saveTimer);
    },
    /* After publishing: the draft is gone, and the version is the base of the next one. */
    published(version, flow) {
      baseVersion = version;
      revision = 0;
      isNew = false;
      saved = flow;
      show(isSaved() ? "published-state" : "unsaved", { version });
    },
  };
}
