/* The thread of a test run: what the contact and the flow wrote, the calls, and the steps with input and output. */

import { nodeOf } from "editor/edits";
import { element, format } from "editor/elements";
import { nameOf } from "editor/node_types";

function messageOf(line, messages) {
  const index = messages.findIndex((call) => call.nodeId === line.nodeId);
  return index < 0 ? null : messages.splice(index, 1)[0];
}

/* The lines of a run in their order: { kind, key, … }. `key` is what the line shows. */
export function linesOf(run, contact, event) {
  const toContact = (call) => call.payload !== null && call.to === contact && call.type !== "notify";
  const messages = run.calls.filter(toContact);
  const lines = run.chat.map((line) => {
    if (line.sender === "contact") return { kind: "contact", at: line.at, text: line.text };
    return { kind: "flow", at: line.at, text: line.text, nodeId: line.nodeId, message: messageOf(line, messages) };
  });
  const others = run.calls.filter((call) => !toContact(call)).map((call) => ({ kind: call.method === null ? "other" : "call", at: call.at, call }));
  const sorted = [...lines, ...others].map((line, index) => ({ line, index }));
  sorted.sort((one, two) => (one.line.at < two.line.at ? -1 : one.line.at > two.line.at ? 1 : one.index - two.index));
  const found = sorted.map(({ line }) => line);
  if (event !== undefined) found.unshift({ kind: "event", body: event });
  return found.map((line) => ({ ...line, key: JSON.stringify([line.kind, line.text, line.body, line.nodeId, shown(line.call)]) }));
}

function shown(call) {
  return call && [call.nodeId, call.method, call.url, call.answer, call.to, call.payload];
}

/* The choices that a message offers: [{ id, title, kind }]. */
export function choicesOf(message) {
  const payload = message?.payload ?? {};
  const rows = (Array.isArray(payload.sections) ? payload.sections : []).flatMap((section) => (Array.isArray(section?.rows) ? section.rows : [section]));
  const buttons = Array.isArray(payload.buttons) ? payload.buttons : [];
  const named = (kind) => (one) => ({ id: String(one?.id ?? one?.title ?? ""), title: String(one?.title ?? one?.id ?? ""), kind });
  return [...buttons.map(named("button")), ...rows.map(named("list"))].filter((one) => one.title);
}

export function createThread(root, { texts, store }) {
  const t = (name, parameters) => format(texts[`editor-test.${name}`], parameters);
  const log = element("div", { className: "chat", role: "log", "aria-live": "polite", "aria-label": t("thread"), tabIndex: 0 });
  const steps = element("details", { className: "chat-steps", hidden: true });
  root.append(log, steps);
  let drawn = [];

  function nodeName(id) {
    const node = nodeOf(store.get(), id);
    return node ? nameOf(node) : id;
  }

  function link(url, kind) {
    const isSafe = /^https?:\/\//i.test(url);
    const text = t("media", { kind, url });
    return isSafe ? element("a", { href: url, rel: "noreferrer noopener", target: "_blank" }, text) : text;
  }

  function content(line) {
    const payload = line.message?.payload;
    if (!payload) return [element("p", { dir: "auto" }, line.text ?? "")];
    const parts = [];
    if (payload.type === "template") {
      const values = Object.values(payload.parameters ?? {}).map(String).join(", ");
      parts.push(element("p", { className: "chat-template" }, t("template", { name: payload.name, values })));
    }
    for (const one of Array.isArray(payload.media) ? payload.media : [payload]) {
      if (one?.url) parts.push(element("p", {}, link(String(one.url), one.kind ?? payload.type ?? "media")));
      if (one !== payload && one?.caption) parts.push(element("p", { dir: "auto" }, one.caption));
    }
    for (const name of ["header", "text", "caption", "subject", "footer"]) if (typeof payload[name] === "string" && payload[name]) parts.push(element("p", { dir: "auto" }, payload[name]));
    const choices = choicesOf(line.message);
    if (choices.length) parts.push(element("ul", { className: "chat-choices", "aria-label": t("choices") }, ...choices.map((one) => element("li", { dir: "auto" }, one.title))));
    if (line.message.delivery === "failed") parts.push(element("p", { className: "dead" }, t("not-delivered", { reason: line.message.deliveryError })));
    return parts.length ? parts : [element("p", { dir: "auto" }, line.text ?? "")];
  }

  function row(line) {
    if (line.kind === "contact") {
      const text = line.text === null ? element("p", { className: "muted" }, t("no-reply")) : element("p", { dir: "auto" }, line.text);
      return element("div", { className: "chat-line chat-contact" }, element("span", { className: "hidden" }, `${t("contact")}: `), text);
    }
    if (line.kind === "flow") {
      const about = element("button", { type: "button", className: "quiet chat-about", dir: "auto", onclick: () => store.select([line.nodeId]) }, nodeName(line.nodeId));
      return element("div", { className: "chat-line chat-flow" }, element("span", { className: "hidden" }, `${t("flow")}: `), ...content(line), about);
    }
    if (line.kind === "event") return element("div", { className: "chat-note", dir: "auto" }, t("event-sent", { body: JSON.stringify(line.body) }));
    const { call } = line;
    if (line.kind === "other") return element("div", { className: "chat-note", dir: "auto" }, t("sent-to", { to: call.to, channel: call.channel, text: call.payload?.text ?? JSON.stringify(call.payload) }));
    const answer = call.answer?.error ?? call.answer?.status ?? "–";
    return element("div", { className: "chat-note", dir: "auto" }, t("call", { method: call.method, url: call.url, answer }));
  }

  function block(name, value) {
    if (value === null || value === undefined) return null;
    return element("div", {}, element("p", { className: "muted" }, t(name)), element("pre", { tabIndex: 0, dir: "auto" }, typeof value === "string" ? value : JSON.stringify(value, null, 2)));
  }

  function stepRow(step) {
    const result = step.error ? `✕ ${step.error.kind}` : step.status === "succeeded" ? `✓ ${step.handle ?? ""}` : `○ ${step.status}`;
    const css = step.error ? "dead" : step.status === "succeeded" ? "completed" : "waiting";
    const error = step.error ? `${step.error.kind}: ${step.error.message}` : null;
    return element(
      "li",
      {},
      element(
        "details",
        { ontoggle: (event) => event.target.open && store.select([step.nodeId]) },
        element("summary", { dir: "auto" }, t("step", { seq: step.seq, name: nodeName(step.nodeId) }), " ", element("span", { className: css }, result)),
        block("input", step.input),
        block("output", step.output),
        block("error", error),
      ),
    );
  }

  return {
    /* Shows the run. Lines that are shown already stay, so that only new ones are announced. */
    show(run, contact, event) {
      const lines = linesOf(run, contact, event);
      let same = 0;
      while (same < drawn.length && same < lines.length && drawn[same] === lines[same].key) same += 1;
      while (log.children.length > same) log.lastChild.remove();
      log.append(...lines.slice(same).map(row));
      drawn = lines.map((line) => line.key);
      log.scrollTop = log.scrollHeight;
      steps.hidden = run.steps.length === 0;
      const isOpen = steps.open;
      const variables = Object.keys(run.vars).length ? block("variables", run.vars) : null;
      steps.replaceChildren(...[element("summary", {}, t("steps", { count: run.steps.length })), element("ol", { className: "chat-step-list" }, ...run.steps.map(stepRow)), variables].filter(Boolean));
      steps.open = isOpen;
      const last = lines.filter((line) => line.kind === "flow").at(-1);
      return { choices: run.status === "waiting-input" ? choicesOf(last?.message) : [] };
    },
    clear() {
      log.replaceChildren();
      steps.replaceChildren();
      steps.hidden = true;
      drawn = [];
    },
  };
}
