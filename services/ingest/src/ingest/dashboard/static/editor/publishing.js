/* The dialog that publishes: first the differences, the warnings and the errors. And the message of a conflict. */

import { nodeOf } from "editor/edits";
import { element, format, icon } from "editor/elements";
import { nameOf } from "editor/node_types";

const MAX_ROWS = 200;
const SHAPES = { added: ["+", "completed"], removed: ["−", "dead"], changed: ["~", "active"] };

function short(value) {
  const text = value === undefined || value === null ? "–" : typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
}

export function createPublishing({ store, server, saving, texts, icons, showNode }) {
  const t = (name, parameters) => format(texts[`editor.${name}`], parameters);
  const content = element("div", { className: "publish-content" });
  const publishButton = element("button", { type: "button", className: "primary", onclick: () => publish(false) }, icon(icons, "upload"), " ", t("publish"));
  const anywayButton = element("button", { type: "button", className: "danger", hidden: true, onclick: () => publish(true) }, t("publish-without-tests"));
  const closeButton = element("button", { type: "button", onclick: () => dialog.close() }, t("cancel"));
  const dialog = element(
    "dialog",
    { className: "publish-dialog", "aria-labelledby": "publish-title" },
    element("h2", { id: "publish-title" }, t("publish-title")),
    content,
    element("div", { className: "wrap" }, publishButton, anywayButton, closeButton),
  );
  document.body.append(dialog);

  function nodeName(id) {
    const node = nodeOf(store.get(), id);
    return node ? nameOf(node) : id;
  }

  function findings(list, css, shape, title) {
    if (!list.length) return null;
    const rows = list.map(({ nodeId, field, message }) =>
      element(
        "li",
        { className: css },
        element(
          "p",
          {},
          element("strong", {}, `${shape} `),
          nodeId ? element("button", { type: "button", className: "quiet", dir: "auto", onclick: () => (dialog.close(), showNode(nodeId)) }, nodeName(nodeId)) : null,
          field ? element("code", {}, ` ${field} `) : null,
          message,
        ),
      ),
    );
    return element("section", {}, element("h3", {}, title), element("ul", { className: "findings" }, ...rows.slice(0, MAX_ROWS)));
  }

  function differenceRow({ kind, part, name, field, before, after }) {
    const [shape, css] = SHAPES[kind] ?? SHAPES.changed;
    const what = part === "node" ? nodeName(name) : name;
    const values = field ? element("td", { className: "text", dir: "auto" }, element("del", {}, short(before)), " → ", element("ins", {}, short(after))) : element("td", { className: "text", dir: "auto" }, part === "edge" ? "" : short(after ?? before));
    return element("tr", {}, element("td", { className: css }, `${shape} ${t(`difference-${kind}`)}`), element("td", {}, t(`part-${part}`)), element("td", { dir: "auto" }, what), element("td", {}, element("code", {}, field)), values);
  }

  function differences({ equal, differences: list, moved, beforeVersion }) {
    const title = beforeVersion === null ? t("differences-first") : t("differences-title", { version: beforeVersion });
    if (equal) return element("section", {}, element("h3", {}, title), element("p", { className: "muted" }, t("differences-none")));
    const rows = list.slice(0, MAX_ROWS).map(differenceRow);
    const table = rows.length ? element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": title }, element("table", { className: "differences" }, element("tbody", {}, ...rows))) : null;
    const more = list.length > MAX_ROWS ? element("p", { className: "muted" }, t("differences-more", { count: list.length - MAX_ROWS })) : null;
    const places = moved.length ? element("p", { className: "muted" }, t("differences-moved", { count: moved.length })) : null;
    const drawing = !rows.length && !moved.length ? element("p", { className: "muted" }, t("differences-drawing")) : null;
    return element("section", {}, element("h3", {}, title), table, more, places, drawing);
  }

  function state(text, css = "muted") {
    content.replaceChildren(element("p", { className: css, role: css === "muted" ? null : "alert" }, text));
  }

  /* What publishing would do. */
  async function open() {
    publishButton.hidden = false;
    publishButton.disabled = true;
    anywayButton.hidden = true;
    closeButton.textContent = t("cancel");
    state(t("checking"));
    if (!dialog.open) dialog.showModal();
    await saving.save();
    if (saving.isNew()) {
      state(t("unnamed"), "notice failed");
      return;
    }
    if (!saving.isSaved()) {
      dialog.close(); /* A conflict, which has its own message. */
      return;
    }
    try {
      const definition = JSON.stringify(store.get());
      const [checked, compared] = await Promise.all([saving.check(), server.send("differences", { definition })]);
      if (!checked || compared.status !== 200) throw new Error(compared.data.detail ?? "");
      content.replaceChildren(
        ...[
          findings(checked.errors, "dead", "✕", t("error-count", { count: checked.errors.length })),
          findings(checked.warnings, "failed", "!", t("warning-count", { count: checked.warnings.length })),
          differences(compared.data),
        ].filter(Boolean),
      );
      if (checked.errors.length) content.prepend(element("p", { className: "notice dead" }, t("publish-errors")));
      publishButton.disabled = checked.errors.length > 0 || compared.data.equal;
      (publishButton.disabled ? closeButton : publishButton).focus();
    } catch (error) {
      state(t("check-failed", { reason: error.message }), "notice failed");
    }
  }

  /* With `skipTests`, the saved tests of the flow are not run. It is offered when they have failed. */
  async function publish(skipTests) {
    const flow = store.get();
    publishButton.disabled = true;
    anywayButton.hidden = true;
    try {
      const fields = { definition: JSON.stringify(flow), baseVersion: String(saving.baseVersion()), revision: String(saving.revision()) };
      const { status, data } = await server.send("publish", skipTests ? { ...fields, skipTests: "true" } : fields);
      if (status === 200) {
        saving.published(data.version, flow);
        publishButton.hidden = true;
        closeButton.textContent = t("close");
        const link = element("a", { href: `/dashboard/flows/${encodeURIComponent(server.flowId())}` }, t("to-flow"));
        content.replaceChildren(element("p", { className: "notice completed", role: "status" }, `✓ ${t("published", { version: data.version })}`), element("p", {}, link));
        closeButton.focus();
      } else if (status === 409 && data.version !== undefined) {
        dialog.close();
        conflict({ kind: "version", ...data });
      } else {
        const errors = (data.errors ?? []).map((one) => ({ ...one, nodeId: one.nodeId ?? null }));
        state(data.detail ?? String(status), "notice dead");
        const list = findings(errors, "dead", "✕", t("error-count", { count: errors.length }));
        if (list) content.append(list);
        anywayButton.hidden = !data.tests;
      }
    } catch (error) {
      state(t("publish-failed", { reason: error.message }), "notice dead");
      publishButton.disabled = false;
    }
  }

  /* Who has saved or published meanwhile, when, and the choices. */
  function conflict(found) {
    const who = found.savedBy ?? found.createdBy ?? t("unknown-person");
    const at = found.savedAt ?? found.createdAt;
    const when = at ? new Date(at).toLocaleString(document.documentElement.lang) : "";
    const text = found.kind === "draft" ? (who && at ? t("conflict-draft", { who, when }) : t("conflict-gone")) : t("conflict-version", { who, when, version: found.version });
    const box = element(
      "dialog",
      { className: "publish-dialog conflict-dialog", "aria-labelledby": "conflict-title", oncancel: (event) => event.preventDefault() },
      element("h2", { id: "conflict-title" }, t("conflict-title")),
      element("p", { dir: "auto" }, text),
      element("p", {}, t("conflict-choices")),
      element(
        "div",
        { className: "wrap" },
        element("button", { type: "button", "data-choice": "theirs", onclick: () => theirs(found) }, t("load-theirs")),
        element(
          "button",
          {
            type: "button",
            "data-choice": "mine",
            className: "danger",
            onclick: async () => {
              box.remove();
              await saving.keepMine(found);
              if (found.kind === "version") open();
            },
          },
          t("keep-mine"),
        ),
      ),
    );
    document.body.append(box);
    box.showModal();
  }

  /* Their draft is loaded with the page. Their version is shown after our draft is deleted. */
  async function theirs(found) {
    if (found.kind === "version" && saving.revision()) await server.send("draft/discard", { revision: String(saving.revision()) });
    saving.leave();
    location.assign(`/dashboard/flows/${encodeURIComponent(server.flowId())}/edit`);
  }

  return { open, conflict };
}
