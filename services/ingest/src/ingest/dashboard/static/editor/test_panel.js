/* The test run of the flow: a chat in which the author writes as the contact. */

import { nodesOf } from "editor/edits";
import { element, format } from "editor/elements";
import { nameOf } from "editor/node_types";
import { createServer } from "editor/server";
import { createTestCases } from "editor/test_cases";
import { createTestSession } from "editor/test_session";
import { createThread } from "editor/test_thread";

const ENDED = { succeeded: "completed", failed: "dead", cancelled: "pale", "timed-out": "failed", stopped: "failed" };

/* The nodes whose calls a test can answer. */
function callingNodes(flow) {
  return nodesOf(flow).filter((node) => node.type === "api" || (node.type === "webhook" && node.data?.mode === "send"));
}

/* The answer that the fields state; undefined for the one that every call gets. A body that is no JSON is a text. */
function answerOf(status, text) {
  const code = Number(status) || 200;
  if (!text.trim()) return code === 200 ? undefined : { status: code };
  try {
    return { status: code, body: JSON.parse(text) };
  } catch {
    return { status: code, body: text };
  }
}

export function createTestPanel(root, { store, flowId, csrf, texts, highlight, server = createServer({ flowId, csrf }) }) {
  const t = (name, parameters) => format(texts[`editor-test.${name}`], parameters);
  if (store.isReadOnly) {
    root.append(element("p", { className: "notice" }, t("read-only")));
    return;
  }
  const session = createTestSession({ store, send: server.send, changed: show });
  root.append(element("p", { className: "muted" }, t("intro")));
  const thread = createThread(root, { texts, store });
  const state = element("p", { className: "test-state", role: "status" });
  const problems = element("ul", { className: "test-problems", hidden: true });
  const choices = element("div", { className: "test-choices wrap", role: "group", "aria-label": t("choices"), hidden: true });
  const message = element("input", { name: "message", autocomplete: "off", dir: "auto" });
  const sendButton = element("button", { className: "primary" }, t("send"));
  const composer = element("form", { className: "test-composer", onsubmit: sendText }, message, sendButton);
  const timesOut = element("button", { type: "button", id: "wait-times-out", onclick: () => act(() => session.reply(null)) }, t("times-out"));
  const restart = element("button", { type: "button", id: "restart-test", onclick: startOver }, t("restart"));
  const again = element("button", { type: "button", id: "repeat-test", onclick: () => act(session.repeat) }, t("run-again"));
  const saveButton = element("button", { type: "button", id: "save-test", onclick: () => cases.open() }, t("save"));
  const old = element("p", { className: "notice failed", hidden: true }, t("changed"));
  const event = eventForm();
  const answers = element("details", { className: "test-answers" });
  const saved = element("section", { className: "test-cases" });
  root.append(state, problems, old, choices, composer, element("div", { className: "wrap test-actions" }, timesOut, again, restart, saveButton), event, answers, saved);
  const cases = createTestCases(saved, { store, texts, server, session });

  async function act(work) {
    await work();
    if (!composer.hidden) message.focus();
  }

  function sendText(submitted) {
    submitted.preventDefault();
    const text = message.value;
    if (!text.trim() || session.isRunning()) return;
    message.value = "";
    act(() => (session.hasStarted() ? session.reply(text) : session.start({ text })));
  }

  function startOver() {
    cases.close();
    session.restart();
    message.focus();
  }

  function eventForm() {
    const body = element("textarea", { name: "event-body", rows: 5, spellcheck: false, value: "{}", "aria-label": t("event-body") });
    const problem = element("p", { className: "dead", role: "alert" });
    const submit = (submitted) => {
      submitted.preventDefault();
      problem.textContent = "";
      try {
        const parsed = JSON.parse(body.value);
        details.open = false;
        act(() => session.start({ body: parsed }));
      } catch (error) {
        problem.textContent = t("event-invalid", { reason: error.message });
      }
    };
    const details = element("details", { className: "test-event" }, element("summary", {}, t("event-start")), element("form", { onsubmit: submit }, element("p", { className: "muted" }, t("event-body")), body, problem, element("button", {}, t("event-send"))));
    return details;
  }

  function showAnswers() {
    const nodes = callingNodes(store.get());
    const isOpen = answers.open;
    const rows = nodes.map((node) => {
      const given = session.answers()[node.id];
      const first = Array.isArray(given) ? given[0] : given;
      const status = element("input", { type: "number", min: 100, max: 599, value: first?.status ?? 200, "aria-label": `${t("status")}: ${nameOf(node)}`, "data-answer-status": node.id });
      const body = element("textarea", { rows: 3, spellcheck: false, value: first?.body === undefined ? "" : typeof first.body === "string" ? first.body : JSON.stringify(first.body, null, 2), "aria-label": `${t("body")}: ${nameOf(node)}`, "data-answer-body": node.id });
      const change = () => session.answer(node.id, answerOf(status.value, body.value));
      status.addEventListener("change", change);
      body.addEventListener("change", change);
      return element("fieldset", {}, element("legend", { dir: "auto" }, t("answer-of", { name: nameOf(node) })), element("div", { className: "wrap" }, element("span", { className: "muted" }, t("status")), status), element("span", { className: "muted" }, t("body")), body);
    });
    answers.replaceChildren(element("summary", {}, t("answers")), element("p", { className: "muted" }, nodes.length ? t("answers-about") : t("answers-none")), ...rows);
    answers.open = isOpen;
  }

  function verdict(run) {
    const reason = run.error ? `${run.error.message}` : "";
    const node = run.error?.nodeId ?? "–";
    return t(run.status, { reason, node });
  }

  function showChoices(offered) {
    choices.hidden = offered.length === 0 || session.isRunning();
    choices.replaceChildren(
      ...offered.map(({ id, title, kind }) => element("button", { type: "button", dir: "auto", "data-choice-id": id, onclick: () => act(() => session.reply({ kind, text: title, data: { id, title } })) }, title)),
    );
  }

  function showProblem(problem) {
    state.className = "test-state notice dead";
    const isUnreachable = problem.status === 0;
    state.textContent = isUnreachable ? t("no-connection", { reason: problem.detail }) : problem.status === 202 ? t("no-answer") : problem.errors.length ? t("not-run") : problem.detail;
    const rows = problem.errors.map(({ nodeId, field, message: text }) =>
      element("li", { dir: "auto" }, nodeId ? element("button", { type: "button", className: "quiet", onclick: () => store.select([nodeId]) }, nodeId) : null, field ? element("code", {}, ` ${field} `) : null, text),
    );
    problems.hidden = rows.length === 0;
    problems.replaceChildren(...rows);
    highlight([]);
  }

  function show() {
    const run = session.run();
    const problem = session.problem();
    const hasStarted = session.hasStarted();
    const awaitsReply = !hasStarted || (run?.status === "waiting-input" && !problem);
    root.setAttribute("aria-busy", String(session.isRunning()));
    composer.hidden = !awaitsReply && !session.isRunning();
    sendButton.disabled = session.isRunning();
    message.setAttribute("aria-label", t(hasStarted ? "message" : "first-message"));
    message.placeholder = t(hasStarted ? "message" : "first-message");
    timesOut.hidden = !hasStarted || run?.status !== "waiting-input" || Boolean(problem);
    restart.hidden = !hasStarted;
    event.hidden = hasStarted;
    saveButton.hidden = !run || Boolean(problem) || session.isRunning();
    again.hidden = !hasStarted || (!problem && !session.isOld());
    old.hidden = !session.isOld() || session.isRunning();
    problems.hidden = true;
    state.className = "test-state";
    if (session.isRunning()) {
      state.textContent = t("running");
      showChoices([]);
      return;
    }
    if (!hasStarted) {
      thread.clear();
      state.textContent = "";
      showChoices([]);
      highlight([]);
      return;
    }
    if (run) {
      const { choices: offered } = thread.show(run, session.contact(), session.event);
      showChoices(problem ? [] : offered);
    }
    if (problem) {
      showProblem(problem);
      return;
    }
    state.className = `test-state ${ENDED[run.status] ?? "waiting"}`;
    state.textContent = verdict(run);
    highlight(run.steps.map((step) => ({ nodeId: step.nodeId, handle: step.handle })));
    showAnswers();
  }

  store.subscribe((flow, origin) => {
    if (["selection", "problems", "scopes"].includes(origin)) return;
    old.hidden = !session.isOld();
    again.hidden = !session.isOld();
    if (!answers.contains(document.activeElement)) showAnswers();
  });
  showAnswers();
  show();
}
