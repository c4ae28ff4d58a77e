/* The answers of the server to the editor. */

import { parseJson } from "editor/json_text";

/* `send(action, fields)` posts to `/flows/{id}/edit/{action}` and promises { status, data }. It fails if there is no
   connection. `setFlowId(id)` is for a new flow that has got its id. */
const MAX_KEPT_ALIVE = 30000;

export function createServer({ flowId, csrf }) {
  let id = flowId;

  async function send(action, fields) {
    const body = new URLSearchParams({ csrf, ...fields });
    /* A short request is sent to its end even if the page is closed. The browser refuses that for a longer one. */
    const keepalive = String(body).length < MAX_KEPT_ALIVE;
    const answer = await fetch(`/dashboard/flows/${encodeURIComponent(id)}/edit/${action}`, { method: "POST", body, keepalive, headers: { Accept: "application/json" } });
    const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
    const data = isJson ? parseJson(await answer.text()) : { detail: await answer.text() };
    return { status: answer.status, data };
  }

  return {
    send,
    flowId: () => id,
    setFlowId: (next) => {
      id = next;
    },
    async layOut(graph) {
      const { status, data } = await send("layout", { graph: JSON.stringify(graph) });
      if (status !== 200) throw new Error(data.detail ?? String(status));
      return data.positions;
    },
  };
}
