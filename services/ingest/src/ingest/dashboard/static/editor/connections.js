/* The connections of the selected node as a list, and a form that connects it: the same as drawing an edge, for the
   keyboard and for small screens. */

import { edgesOf, nodeOf, nodesOf } from "editor/edits";
import { element, format, icon } from "editor/elements";
import { handleName, handleOf, handlesOf, nameOf } from "editor/node_types";

export function createConnections(root, { store, texts, icons, commands }) {
  let shownKey = "";

  function targets(node, handle, edges, handles) {
    const found = edges.filter((edge) => handleOf(edge, handles) === handle);
    if (!found.length) return [element("span", { className: "muted" }, texts["editor.not-connected"])];
    return found.map((edge) => {
      const target = nodeOf(store.get(), edge.target);
      const name = target ? nameOf(target) : edge.target;
      const label = format(texts["editor.disconnect"], { handle: handleName(node, handle, texts), target: name });
      const remove = element("button", { type: "button", className: "quiet", "aria-label": label, title: label, onclick: () => commands.disconnect(edge) }, icon(icons, "x") ?? "×");
      return element("span", { className: "connection" }, element("button", { type: "button", className: "quiet", dir: "auto", onclick: () => store.select([edge.target]) }, name), store.isReadOnly ? null : remove);
    });
  }

  function option(value, text, isChosen = false) {
    return element("option", { value, selected: isChosen }, text);
  }

  function form(node, handles, edges) {
    const free = handles.find((handle) => !edges.some((edge) => handleOf(edge, handles) === handle));
    const from = element("select", { id: "connect-from" }, ...handles.map((handle) => option(handle, handleName(node, handle, texts), handle === free)));
    const others = nodesOf(store.get()).filter((one) => one.id !== node.id && one.data?.mode !== "trigger");
    const to = element("select", { id: "connect-to" }, ...others.map((one) => option(one.id, nameOf(one) === one.id ? one.id : `${nameOf(one)} (${one.id})`)));
    return element(
      "form",
      {
        className: "connect-form",
        onsubmit: (event) => {
          event.preventDefault();
          if (to.value) commands.connect(node.id, from.value, to.value);
          document.getElementById("connect-from")?.focus();
        },
      },
      element("label", {}, texts["editor.connect-from"], from),
      element("label", {}, texts["editor.connect-to"], to),
      element("button", { disabled: !others.length }, icon(icons, "link"), " ", texts["editor.connect"]),
    );
  }

  function show() {
    const flow = store.get();
    const ids = store.selection();
    const node = ids.length === 1 ? nodeOf(flow, ids[0]) : undefined;
    const edges = node ? edgesOf(flow).filter((edge) => edge.source === node.id) : [];
    const handles = node ? handlesOf(node, edges) : [];
    /* What is shown depends on these alone: typing in a form does not draw it again. */
    const key = JSON.stringify([ids, handles, edges, node?.data?.choices, nodesOf(flow).map((one) => [one.id, one.data?.label, one.data?.mode])]);
    if (key === shownKey) return;
    shownKey = key;
    root.replaceChildren();
    root.hidden = !node;
    if (!node) return;
    const rows = handles.map((handle) => [element("dt", { dir: "auto" }, handleName(node, handle, texts)), element("dd", {}, ...targets(node, handle, edges, handles))]);
    root.append(element("h3", {}, texts["editor.connections"]));
    root.append(handles.length ? element("dl", { className: "facts" }, ...rows.flat()) : element("p", { className: "muted" }, texts["editor.connect-none"]));
    if (handles.length && !store.isReadOnly) root.append(form(node, handles, edges));
  }

  store.subscribe(show);
  show();
}
