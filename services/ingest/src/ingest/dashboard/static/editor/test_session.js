/* One test run of the flow: how it started, the replies so far, the answers of APIs, and the result of the last run.

   Each message runs the flow again from its beginning with all replies: a test run is deterministic and keeps nothing.
   `send(action, fields)` is that of editor/server. `changed()` is called after each change.

   | method | meaning |
   |---|---|
   | start({ text }) or start({ body }) | the first message, or the body of an event |
   | reply(value) | a text, a message such as { kind, text, data }, or null: the wait times out |
   | answer(nodeId, { status, body }) | the answer to the calls of a node; undefined removes it |
   | repeat() | runs again with the present flow |
   | load(request) | takes over the input of a saved test, and runs it |
   | restart() | forgets the run |
   | request() | the input, as a saved test has it */

const TIMEOUT_MS = 15000;

export const CONTACT = "test";

export function createTestSession({ store, send, changed }) {
  let given = null;
  let replies = [];
  let answers = {};
  let run = null;
  let problem = null;
  let isRunning = false;
  let ran = null;
  let runs = 0;

  function request() {
    const made = { ...(given ?? {}) };
    if (replies.length) made.replies = replies;
    if (Object.keys(answers).length) made.answers = answers;
    return made;
  }

  async function repeat() {
    if (!given) return;
    runs += 1;
    const number = runs;
    const flow = store.get();
    isRunning = true;
    problem = null;
    changed();
    let found;
    try {
      const body = { ...request(), definition: flow, timeoutMs: TIMEOUT_MS };
      found = await send("test", { request: JSON.stringify(body) });
    } catch (error) {
      found = { status: 0, data: { detail: error.message } };
    }
    if (number !== runs) return;
    isRunning = false;
    ran = flow;
    if (found.status === 200) run = found.data;
    else problem = { status: found.status, detail: found.data.detail ?? "", errors: found.data.errors ?? [] };
    changed();
  }

  function forget() {
    runs += 1;
    given = null;
    replies = [];
    run = null;
    problem = null;
    isRunning = false;
    ran = null;
  }

  return {
    repeat,
    request,
    start({ text, body }) {
      forget();
      given = body === undefined ? { conversation: { contact: CONTACT, text } } : { webhook: { body } };
      return repeat();
    },
    reply(value) {
      replies = [...replies, value];
      return repeat();
    },
    answer(nodeId, value) {
      const { [nodeId]: _, ...others } = answers;
      answers = value === undefined ? others : { ...others, [nodeId]: value };
      return repeat();
    },
    load(saved) {
      forget();
      const { replies: stored, answers: canned, ...start } = saved;
      given = start;
      replies = Array.isArray(stored) ? stored : [];
      answers = canned ?? {};
      return repeat();
    },
    restart() {
      forget();
      changed();
    },
    get event() {
      return given?.webhook?.body;
    },
    answers: () => answers,
    contact: () => given?.conversation?.contact ?? CONTACT,
    hasStarted: () => given !== null,
    isRunning: () => isRunning,
    isOld: () => ran !== null && ran !== store.get(),
    run: () => run,
    problem: () => problem,
  };
}

/* What is expected of the run that was just seen. */
export function expectationOf(run) {
  const calls = run.calls.filter((call) => call.method !== null).map(({ nodeId, method, url, body }) => ({ nodeId, method, url, ...(body === null ? {} : { body }) }));
  const chat = run.chat.filter((line) => line.sender === "flow").map((line) => line.text);
  return { status: run.status, chat, calls, vars: run.vars };
}
