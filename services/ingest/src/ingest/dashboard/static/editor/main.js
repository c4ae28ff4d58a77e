/* The flow editor: reads the data of the page, and puts its parts together. */

import { createCanvas } from "editor/canvas";
import { createCommands } from "editor/commands";
import { createConnections } from "editor/connections";
import { element, format } from "editor/elements";
import { createFind } from "editor/find";
import { createFrame } from "editor/frame";
import { createHelp } from "editor/help";
import { parseJson } from "editor/json_text";
import { handleKeys } from "editor/keys";
import { createNaming } from "editor/naming";
import { createPalette } from "editor/palette";
import { createPublishing } from "editor/publishing";
import { createSaving } from "editor/saving";
import { createServer } from "editor/server";
import { createStore } from "editor/store";

const root = document.getElementById("editor");
/* Numbers that are longer than a double keep their digits. */
const data = parseJson(document.getElementById("editor-data").textContent);
const { texts, icons, schema, names, csrf } = data;

const store = createStore(data.flow, { isReadOnly: !data.mayPublish });
const server = createServer({ flowId: data.flowId, csrf });
const frame = createFrame(root, { store, texts, icons });

const commands = {};
const canvas = createCanvas(frame.canvas, { store, texts, icons, layOut: server.layOut, addNode: (type, place) => commands.add(type, place) });

let publishing;
let naming;
const saving = createSaving({
  store,
  server,
  data,
  show: frame.state,
  onConflict: (found) => publishing.conflict(found),
  onClaimed: (id) => {
    naming.fixed();
    const name = store.get().name || id;
    document.title = document.title.replace(texts["editor.new-title"], () => name);
    document.querySelector("h1").textContent = format(texts["editor.title"], { flow: name });
    history.replaceState(null, "", `/dashboard/flows/${encodeURIComponent(id)}/edit`);
  },
});
naming = createNaming(frame.naming, { store, texts, isNew: data.isNew, onId: saving.wantId });
publishing = createPublishing({ store, server, saving, texts, icons, showNode: (id) => frame.show(id) });

await canvas.isReady;
Object.assign(commands, createCommands({ store, canvas, texts }));
createPalette(frame.palette, { texts, icons, addNode: commands.add });
const help = createHelp({ texts });
frame.connect({ canvas, commands, help, publish: () => (naming.report(), publishing.open()) });
const find = createFind(frame.finding, { store, texts, canvas });
handleKeys(root, frame.canvas, { store, canvas, commands, frame, find, help });

const form = element("div", { className: "node-form" });
const connections = element("div", { className: "connections", hidden: true });
frame.panel("node").append(form, connections);
createConnections(connections, { store, texts, icons, commands });
import("editor/node_form").then(({ createNodeForm }) => {
  frame.focusField = createNodeForm(form, { store, schema, texts, names }).focusField;
});
frame.whenOpened("json", async (panel) => (await import("editor/json_panel")).createJsonPanel(panel, { store, schema, texts }));
frame.whenOpened("test", async (panel) =>
  (await import("editor/test_panel")).createTestPanel(panel, { store, flowId: data.flowId, csrf, texts, server, highlight: canvas.highlight }),
);

if (!store.isReadOnly) saving.check();
if (data.savedBy && !store.isReadOnly) frame.state("draft-of", { who: data.savedBy, when: new Date(data.savedAt).toLocaleString(document.documentElement.lang) });
root.removeAttribute("aria-busy");
/* For tests, and for the console of a developer. */
window.filasEditor = { store, canvas, saving };
