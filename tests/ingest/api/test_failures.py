"""Failed executions: found by their error, counted in groups, and replayed together."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from filas.contacts.canonical_address import medium_of
from filas.contract.policies import FLOWS
from filas.models.contacts import FoundConversation, ReportedContact
from filas.models.executions import NewExecution
from filas.models.record import ErrorDetail
from filas.repository.contacts.contact_repository import ContactRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from ingest.api.history import execution_replays
from tests.ingest.api.serving import FLOW, TOKEN, Api
from tests.ingest.api.test_redrive import dead
from tests.shared.cli.running import filas
from tests.shared.repository import builders

LATE = ErrorDetail(kind="timeout", message="no answer within 10 s", node_id="crm")
BROKEN = ErrorDetail(kind="http-status", message="the answer is 500", node_id="crm")


async def failed(api: Api, error: ErrorDetail, count: int = 1, status: str = "failed", **fields: Any) -> list[UUID]:
    """Executions of the flow `greeting` that ended with this error."""
    rows = ExecutionRepository(api.database)
    ids = []
    for number in range(count):
        given = {"channel": "whatsapp", "contact": f"contact {number}"} | fields
        report = ReportedContact(
            channel=given["channel"], address=given["contact"], medium=medium_of(given["channel"]), begins=True
        )
        [found] = await ContactRepository(api.database).find_many([report])
        assert isinstance(found, FoundConversation)
        new: NewExecution = builders.execution(flow_id="greeting", conversation_id=found.id, **given)
        await api.context.events.insert_many([builders.event(id=new.event_id)])
        await rows.start_many([(new.event_id, [new])])
        claimed = await rows.claim(new.id, 1, "worker-1", 8.0)
        assert claimed is not None
        await rows.checkpoint_many([builders.checkpoint(claimed, status, error=error)])
        ids.append(new.id)
    return ids


@pytest.fixture(autouse=True)
async def flow(api: Api) -> None:
    """A stored flow."""
    assert (await api.put("/flows/greeting", FLOW)).status == 200


async def listed(api: Api, query: str) -> list[str]:
    answer = await api.get(f"/executions?{query}")
    assert answer.status == 200, answer.text
    return sorted(one["id"] for one in answer.data)


async def test_failures_are_found_by_status_error_contact_and_time(api: Api) -> None:
    """A kind and a fingerprint are both an error. A contact may be typed in any way."""
    late = await failed(api, LATE, 2, "timed-out", channel="whatsapp", contact="5511900000002")
    broken = await failed(api, BROKEN, channel="whatsapp", contact="5511900000003")
    both = sorted(map(str, late + broken))
    assert await listed(api, "status=failed,timed-out") == both
    assert await listed(api, "status=failed") == [str(broken[0])]
    assert await listed(api, "error=timeout") == sorted(map(str, late))
    (one,) = (await api.get("/executions?status=failed")).data
    assert await listed(api, f"error={one['fingerprint']}") == [str(broken[0])]
    assert await listed(api, "error=time") == []
    assert await listed(api, "flowId=other&status=failed") == []
    for typed in ("%2B55 11 90000-0003", "5511900000003", "900000003", "(11) 90000-0003"):
        assert await listed(api, f"contact={typed}") == [str(broken[0])], typed
    assert await listed(api, "contact=unknown@example.com") == []
    now = datetime.now(UTC)
    assert await listed(api, f"until={(now - timedelta(hours=1)).isoformat()[:19]}Z") == []
    assert await listed(api, f"since={(now - timedelta(hours=1)).isoformat()[:19]}Z") == both
    refused = await api.get("/executions?status=failed,late")
    assert (refused.status, "unknown status 'late'" in refused.text) == (422, True)


async def test_failures_are_counted_by_flow_and_error(api: Api) -> None:
    """The largest group first, each with its newest failure."""
    await failed(api, LATE)
    newest = (await failed(api, BROKEN, 3))[-1]
    first, second = (await api.get("/executions/groups")).data
    assert (first["where"], first["count"], first["error"]["message"]) == ("greeting", 3, "the answer is 500")
    assert (first["example"], sum(first["trend"]), len(first["trend"])) == (str(newest), 3, 12)
    assert first["trend"][-1] == 3
    assert first["fingerprint"].startswith("http-status:crm:")
    assert (second["count"], second["first"] == second["last"]) == (1, True)
    assert (await api.get("/executions/groups?flowId=other")).data == []
    assert (await api.get("/executions/groups?until=2020-01-01T00:00:00Z")).data == []
    assert (await api.get("/executions/groups?since=2030-01-01T00:00:00Z")).status == 422
    assert (await api.get("/executions/counts")).data == {"failed": 4, "timedOut": 0}


async def test_dead_letters_are_counted_by_queue_and_error(api: Api) -> None:
    """Those that were replayed do not count."""
    await dead(api, 3, kind="timeout")
    await dead(api, 1, kind="permanent")
    query = "since=2000-01-01T00:00:00Z&until=2100-01-01T00:00:00Z"
    first, second = (await api.get(f"/dead-letters/groups?{query}")).data
    assert (first["where"], first["count"], first["error"]["kind"]) == ("webhook-processing", 3, "timeout")
    assert (await api.get(f"/dead-letters?fingerprint={second['fingerprint']}")).data[0]["error"]["kind"] == "permanent"
    done = await api.post("/dead-letters/replay", {"fingerprint": first["fingerprint"]})
    assert done.data["replayed"] == 3
    assert [one["count"] for one in (await api.get(f"/dead-letters/groups?{query}")).data] == [1]


async def test_matching_failures_are_replayed_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several pages, the oldest first, at a rate. A second call finds none; a dry run changes nothing."""
    monkeypatch.setattr(execution_replays, "PAGE", 2)
    chosen = await failed(api, LATE, 5)
    await failed(api, BROKEN)
    body = {"error": "timeout", "rate": 10}
    trial = (await api.post("/executions/replay", body | {"dryRun": True})).data
    assert (trial["matched"], trial["replayed"], trial["takesS"]) == (5, 5, 0.4)
    done = (await api.post("/executions/replay", body | {"limit": 4})).data
    assert (done["matched"], done["replayed"], done["more"], done["flows"]) == (4, 4, True, {"greeting": 4})
    done = (await api.post("/executions/replay", body)).data
    assert (done["matched"], done["replayed"], done["more"]) == (1, 1, False)
    assert (await api.post("/executions/replay", body)).data["matched"] == 0
    replays = [one for one in (await api.get("/executions?status=queued")).data if one["replayOf"]]
    assert [one["replayOf"] for one in reversed(replays)] == [str(one) for one in chosen]
    due = (await api.get("/queue/flow/jobs?state=delayed")).data + (await api.get("/queue/flow/jobs")).data
    assert {one["data"]["executionId"] for one in due} == {one["id"] for one in replays}


async def test_a_failure_without_a_state_is_refused_by_name(api: Api) -> None:
    """It can be replayed from its start."""
    (one,) = await failed(api, LATE, status="failed")
    await api.database.fetch("update executions set state = null where id = $1", one)
    done = (await api.post("/executions/replay", {"from": "failed-step"})).data
    assert (done["replayed"], done["refused"]) == (
        0,
        [{"id": str(one), "reason": "it has no saved state: replay it from its start"}],
    )


async def test_the_command_line_shows_and_replays_failures(api: Api) -> None:
    """`filas executions …`."""
    (one,) = await failed(api, BROKEN)
    environ = {"FILAS_URL": api.url, "FILAS_ADMIN_TOKEN": TOKEN}

    async def run(*arguments: str) -> str:
        answer = await filas("executions", *arguments, environ=environ)
        assert answer.code == 0, answer.err
        return answer.out

    assert "http-status at crm: the answer is 500" in await run("list", "--failed")
    assert await run("list", "--status", "running") == "No executions\n"
    assert "http-status:crm:" in await run("groups")
    assert '"steps"' in await run("show", str(one))
    assert "1 would be replayed" in await run("replay-all", "--dry-run")
    assert "1 replayed" in await run("replay-all", "--error", "http-status")
    assert "0 match: none" in await run("replay-all")
    assert "replayed as" in await run("replay", str(one))
    both = await filas("executions", "list", "--failed", "--status", "failed", environ=environ)
    assert both.code == 2
    stats = await filas("stats", environ=environ)
    assert "1 failed, 0 timed out" in stats.out
    assert FLOWS.name in stats.out
