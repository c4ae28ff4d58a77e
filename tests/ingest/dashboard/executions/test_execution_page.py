"""The page of one execution: the graph, the step panel, messages, timeline, why it waits, and its actions."""

import re
from typing import Any
from uuid import UUID

import pytest

from filas.contract.policies import FLOWS
from tests.ingest.api.seeding import attempted
from tests.ingest.api.serving import TOKEN, Api
from tests.ingest.dashboard.browsing import MAX_HTML_BYTES, Browser
from tests.ingest.dashboard.executions.recorded import LARGE, VISITS, record, record_waiting, steps, store_flow
from tests.shared.repository import builders


def edges_taken(html: str) -> int:
    return html.count('class="edge edge-taken"')


def nodes(html: str) -> dict[str, str]:
    """The classes of each node by its description."""
    found = re.findall(r'<a class="node ([^"]*)"[^>]*><title>([^<]*)</title>', html)
    return {description: css for css, description in found}


async def test_the_graph_shows_the_path_taken(api: Api, browser: Browser) -> None:
    """States, order and times on the nodes; taken edges; the failed step beside it."""
    await store_flow(api)
    page = await browser.open(f"/executions/{await record(api)}")
    assert len(page.html.encode()) <= MAX_HTML_BYTES
    shown = nodes(page.html)
    assert "node-completed" in shown["1. start (webhook): succeeded, 2 s"]
    assert "node-completed" in shown["2. Known order? (condition): succeeded, 2 s"]
    assert "node-dead node-selected" in shown["3. look-up (API call): failed, 2 s"]
    assert "node-pale" in shown["ask (question): not reached"]
    assert edges_taken(page.html) == 2
    assert page.html.count('class="edge"') == 4
    assert "3. look-up" in page.text


async def test_the_page_states_why(api: Api, browser: Browser) -> None:
    """The doctor's sentence, for an execution that failed and for one that waits."""
    await store_flow(api)
    failed = await browser.open(f"/executions/{await record(api)}")
    assert "Why: it failed" in failed.text
    assert "filas executions replay" in failed.text
    waiting = await browser.open(f"/executions/{await record_waiting(api)}")
    assert "Why:" in waiting.text
    assert "reply" in waiting.text.split("Why:")[1][:200]
    assert "Why:" not in (await browser.open(f"/executions/{await record(api, 'succeeded')}")).text


async def test_a_link_of_the_graph_selects_a_step(api: Api, browser: Browser) -> None:
    """The panel shows its input and output; numbers keep all their digits, and nothing is lost by rounding."""
    await store_flow(api)
    execution = await record(api)
    page = await browser.open(f"/executions/{execution}")
    assert "?step=2#step" in page.links
    page = await browser.open(f"/executions/{execution}?step=2")
    assert "2. Known order?" in page.text
    assert f'"n": {LARGE}' in page.text
    assert '<script>alert("x")' not in page.html
    file = await browser.open(f"/executions/{execution}/steps/2/input")
    assert str(LARGE) in file.html
    assert file.headers["Content-Disposition"].startswith("attachment")
    await browser.open(f"/executions/{execution}/steps/9/input", status=404)
    await browser.open(f"/executions/{execution}/steps/2/error", status=404)


async def test_a_node_that_was_not_reached_shows_its_definition(api: Api, browser: Browser) -> None:
    """Its link names the node."""
    await store_flow(api)
    execution = await record(api)
    page = await browser.open(f"/executions/{execution}?node=ask")
    assert "did not reach this node" in page.text
    assert "Which order?" in page.text
    assert "node-selected" in nodes(page.html)["ask (question): not reached"]


async def test_many_steps_are_shown_in_pages(api: Api, browser: Browser) -> None:
    """A loop of 300 steps: the page stays small, and nodes show how often they were visited."""
    await store_flow(api)
    visits = [("start", "webhook", "out"), *[("known", "condition", "false"), ("ask", "input", "out")] * 150]
    execution = await record(api, "succeeded", steps=steps(*visits))
    page = await browser.open(f"/executions/{execution}?step=40")
    assert len(page.html.encode()) <= MAX_HTML_BYTES
    assert "?step=25#sections" in page.links
    assert "?step=51#sections" in page.links
    assert "\N{MULTIPLICATION SIGN}150" in page.html
    assert "2, 4 … 300" in page.html


async def test_a_large_flow_shows_the_part_that_was_reached(api: Api, browser: Browser) -> None:
    """All nodes on request."""
    chain: list[dict[str, Any]] = [{"id": f"n{n}", "type": "message", "data": {"text": "hello"}} for n in range(200)]
    edges = [{"source": f"n{n}", "target": f"n{n + 1}"} for n in range(199)]
    start = {"id": "start", "type": "webhook", "data": {"mode": "trigger"}}
    await store_flow(api, nodes=[start, *chain], edges=[{"source": "start", "target": "n0"}, *edges], variables=[])
    visited = [("start", "webhook", "out"), *((f"n{n}", "message", "out") for n in range(100))]
    execution = await record(api, "succeeded", steps=steps(*visited))
    page = await browser.open(f"/executions/{execution}?step=50")
    assert len(page.html.encode()) <= MAX_HTML_BYTES
    assert "24 of 201 nodes are shown" in page.text
    assert page.html.count('<a class="node') == 24
    whole = await browser.open(f"/executions/{execution}?graph=all")
    assert whole.html.count('<a class="node') == 201


async def test_messages_have_the_ticks_of_their_delivery(api: Api, browser: Browser) -> None:
    """Recorded, accepted by the provider, failed and tried again."""
    await store_flow(api)
    execution = await record(api, "running", steps=steps(*VISITS[:2]))
    claimed_id = UUID(str(execution))
    row = await api.database.fetchrow("select fence from executions where id = $1", claimed_id)
    assert row is not None
    sent = [builders.notification(claimed_id, seq, channel_id="console", conversation_id=None) for seq in (1, 2)]
    await api.database.fetch("update executions set status = 'running' where id = $1", claimed_id)
    [written] = await api.context.executions.checkpoint_many(
        [
            builders.checkpoint(_Claimed(claimed_id, row["fence"]), "succeeded", notifications=sent)  # type: ignore[arg-type]
        ]
    )
    assert not isinstance(written, BaseException)
    await attempted(api, sent[0].id, succeeds=True)
    await attempted(api, sent[1].id, succeeds=False)
    page = await browser.open(f"/executions/{execution}?show=messages")
    assert "✓ sent" in page.text
    assert "! retrying" in page.text
    assert "no answer within 10 s" in page.text


class _Claimed:
    def __init__(self, execution_id: UUID, fence: int) -> None:
        self.id, self.fence = execution_id, fence


async def test_the_timeline_runs_from_the_receipt(api: Api, browser: Browser) -> None:
    """In the order of time."""
    await store_flow(api)
    page = await browser.open(f"/executions/{await record(api)}?show=timeline")
    assert "received" in page.text
    assert '<ol class="timeline' in page.html


async def test_a_deleted_flow_leaves_the_steps(api: Api, browser: Browser) -> None:
    """Without a graph."""
    await store_flow(api)
    execution = await record(api)
    await api.delete("/webhooks/orders")
    assert (await api.delete("/flows/orders")).status == 200
    page = await browser.open(f"/executions/{execution}")
    assert "there is no graph" in page.text
    assert "look-up" in page.text


@pytest.mark.parametrize("status", ["waiting-input", "queued"])
async def test_cancel_reaches_the_flow_runner(api: Api, browser: Browser, status: str) -> None:
    """The command is stored, and its job is enqueued."""
    await store_flow(api)
    execution = await record_waiting(api)
    if status == "queued":
        await api.database.fetch("update executions set status = 'queued', wake_at = null where id = $1", execution)
    page = await browser.open(f"/executions/{execution}")
    done = await browser.submit(page, f"/dashboard/executions/{execution}/cancel")
    assert done.url == f"/dashboard/executions/{execution}"
    assert "The cancel is requested" in done.text
    stored = await api.database.fetch("select execution_id from execution_cancels")
    assert [row["execution_id"] for row in stored] == [execution]
    assert (await api.get(f"/queue/{FLOWS.short}/jobs?state=waiting")).data


async def test_actions_can_be_copied_as_commands(api: Api, browser: Browser) -> None:
    """The entity, and what may be done with it. The commands contain no token."""
    await store_flow(api)
    failed, waiting = await record(api), await record_waiting(api)
    text = (await browser.open(f"/executions/{failed}")).text
    assert f"filas executions show {failed}" in text
    assert f"filas executions replay {failed}" in text
    assert f"/api/executions/{failed}/replay" in text
    text = (await browser.open(f"/executions/{waiting}")).text
    assert f"filas executions cancel {waiting}" in text
    assert TOKEN not in text


async def test_a_viewer_cannot_act(api: Api, viewer: Browser) -> None:
    """No button, an explanation, and the server refuses."""
    await store_flow(api)
    waiting, failed = await record_waiting(api), await record(api)
    for execution in (waiting, failed):
        page = await viewer.open(f"/executions/{execution}")
        assert "your role is viewer" in page.text
        assert not [form for form in page.forms if str(execution) in form.action]
    await viewer.post(f"/executions/{waiting}/cancel", status=403)
    await viewer.post(f"/executions/{failed}/replay", status=403)
    assert await api.database.fetchval("select count(*) from executions") == 2
    form = await viewer.open(f"/executions/{failed}/replay")
    assert "your role is viewer" in form.text


async def test_the_page_in_portuguese(api: Api, browser: Browser) -> None:
    """Every text of it exists in both languages."""
    await store_flow(api)
    execution = await record(api)
    for show in ("steps", "messages", "timeline"):
        page = await browser.open(f"/executions/{execution}?show={show}", headers={"Accept-Language": "pt-BR"})
        assert "Execução" in page.text
    assert "não alcançado" in page.html
