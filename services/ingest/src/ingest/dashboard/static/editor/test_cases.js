/* The saved tests of the flow: "Save as test", the list, and "Run all". */

import { announce, element, format } from "editor/elements";
import { expectationOf } from "editor/test_session";

const SHAPES = { passed: ["✓", "completed", "passed"], failed: ["✕", "dead", "test-failed"], "not-run": ["○", "waiting", "test-not-run"] };

export function createTestCases(root, { store, texts, server, session }) {
  const t = (name, parameters) => format(texts[`editor-test.${name}`], parameters);
  const form = element("div", { className: "test-save", hidden: true });
  const summary = element("p", { role: "status" });
  const list = element("ul", { className: "test-list" });
  const runAll = element("button", { type: "button", id: "run-tests", onclick: runTests }, t("run-all"));
  root.append(form, element("h3", {}, t("tests")), summary, list, runAll);
  let cases = [];
  let results = {};

  const short = (value) => (value === null || value === undefined ? t("nothing") : JSON.stringify(value));

  function state(text, css = "") {
    summary.className = css;
    summary.textContent = text;
  }

  function reason(data, status) {
    return data.errors?.map((one) => [one.nodeId, one.field, one.message].filter(Boolean).join(" ")).join("; ") || data.detail || String(status);
  }

  async function act(work) {
    try {
      await work();
    } catch (error) {
      state(t("no-connection", { reason: error.message }), "notice dead");
    }
  }

  function show() {
    runAll.hidden = cases.length === 0;
    if (!cases.length) {
      list.replaceChildren(element("li", { className: "muted" }, t("tests-none")));
      return;
    }
    list.replaceChildren(...cases.map(caseRow));
  }

  function caseRow(one) {
    const result = results[one.name];
    const [shape, css, word] = SHAPES[result?.status] ?? ["", "", ""];
    const differences = (result?.differences ?? []).map((found) => element("li", { dir: "auto" }, t("difference", { field: found.field, expected: short(found.expected), found: short(found.found) })));
    if (result?.reason) differences.push(element("li", { dir: "auto" }, result.reason));
    return element(
      "li",
      { "data-test": one.name },
      element("span", { className: "test-name", dir: "auto" }, one.name),
      word ? element("span", { className: css }, `${shape} ${t(word)}`) : null,
      element("button", { type: "button", className: "quiet", "aria-label": `${t("load")}: ${one.name}`, onclick: () => session.load(one.request) }, t("load")),
      element("button", { type: "button", className: "quiet danger", "aria-label": `${t("delete")}: ${one.name}`, onclick: () => act(() => remove(one.name)) }, t("delete")),
      differences.length ? element("ul", { className: "test-differences" }, ...differences) : null,
    );
  }

  async function load() {
    const answer = await fetch(`/dashboard/flows/${encodeURIComponent(server.flowId())}/edit/tests`, { headers: { Accept: "application/json" } });
    cases = answer.ok ? await answer.json() : [];
    show();
  }

  async function runTests() {
    runAll.disabled = true;
    state(t("running"));
    await act(async () => {
      const { status, data } = await server.send("tests/run", { definition: JSON.stringify(store.get()) });
      if (status !== 200) {
        state(reason(data, status), "notice dead");
        return;
      }
      results = Object.fromEntries(data.map((one) => [one.name, one]));
      const passed = data.filter((one) => one.status === "passed").length;
      state(t("results", { passed, count: data.length }), passed === data.length ? "completed" : "dead");
      show();
    });
    runAll.disabled = false;
  }

  async function remove(name) {
    const { status, data } = await server.send("tests/delete", { name });
    if (status !== 200) {
      state(reason(data, status), "notice dead");
      return;
    }
    cases = cases.filter((one) => one.name !== name);
    state(t("deleted", { name }));
    show();
  }

  function close() {
    form.hidden = true;
    form.replaceChildren();
  }

  /* The form of "Save as test", with what was just seen. */
  function open() {
    const run = session.run();
    const { chat, ...rest } = expectationOf(run);
    const name = element("input", { name: "test-name", required: true, maxLength: 100, autocomplete: "off" });
    const messages = chat.map((text, index) => element("textarea", { className: "test-message", rows: 2, value: text, dir: "auto", "aria-label": `${t("save-messages")} ${index + 1}` }));
    const others = element("textarea", { className: "test-rest", rows: 8, spellcheck: false, value: JSON.stringify(rest, null, 2), "aria-label": t("save-rest") });
    const problem = element("p", { className: "dead", role: "alert" });
    const submit = (event) => {
      event.preventDefault();
      problem.textContent = "";
      let expected;
      try {
        expected = JSON.parse(others.value || "{}");
      } catch (error) {
        problem.textContent = t("save-invalid", { reason: error.message });
        others.focus();
        return;
      }
      const expect = { ...expected, chat: messages.map((one) => one.value) };
      act(() => save(name.value.trim(), { request: session.request(), expect }, problem));
    };
    form.replaceChildren(
      element(
        "form",
        { className: "fields", onsubmit: submit, onkeydown: (event) => event.key === "Escape" && close() },
        element("label", {}, t("save-name"), name),
        messages.length ? element("fieldset", {}, element("legend", {}, t("save-messages")), ...messages) : null,
        element("details", {}, element("summary", {}, t("save-rest")), others),
        problem,
        element("div", { className: "wrap" }, element("button", { className: "primary" }, t("save-submit")), element("button", { type: "button", onclick: close }, t("cancel"))),
      ),
    );
    form.hidden = false;
    name.focus();
  }

  async function save(name, test, problem) {
    if (server.flowId() === "new") {
      problem.textContent = t("save-unnamed");
      return;
    }
    const { status, data } = await server.send("tests", { name, test: JSON.stringify(test) });
    if (status !== 200) {
      problem.textContent = reason(data, status);
      return;
    }
    close();
    cases = [...cases.filter((one) => one.name !== data.name), data].sort((one, two) => one.name.localeCompare(two.name));
    results = {};
    state(t("saved", { name }), "completed");
    announce(t("saved", { name }));
    show();
  }

  act(load);
  return { open, close };
}
