"""Replays in the background: at a rate, with progress, stopped, after a restart; and dead letters that are restored."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from filas.contract.identity import new_id
from filas.contract.policies import WEBHOOKS
from filas.errors import StoreUnavailable
from filas.models.record import ErrorDetail
from filas.repository.replay_runs import ReplayRunRepository
from ingest.api.history import replay_runner
from ingest.api.history.replay_run_steps import STEPS
from ingest.api.history.replay_runner import IDLE_S, PACE_S, ReplayRunner
from tests.ingest.api.serving import FLOW, Api, fields_of
from tests.ingest.api.test_failures import BROKEN, failed
from tests.ingest.api.test_history import new_event
from tests.ingest.api.test_redrive import dead
from tests.shared.repository import builders


class Clock:
    """Seconds that pass when the test wants it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


async def run_of(api: Api, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"/replays/{run_id}")).data
    return found


async def start(api: Api, **body: Any) -> str:
    reply = await api.post("/replays", body)
    assert reply.status == 202, reply.text
    return str(reply.data["id"])


async def finish(runner: ReplayRunner) -> None:
    """Runs until nothing is left to do."""
    for _ in range(50):
        if await runner.step() == IDLE_S:
            return
    raise AssertionError("it does not end")


async def open_letters(api: Api) -> int:
    return sum(one["replayedAt"] is None for one in (await api.get("/dead-letters")).data)


async def test_a_run_replays_all_dead_letters_that_match(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """In chunks, with the progress, the refused ones, and those that fail again."""
    monkeypatch.setattr(replay_runner, "CHUNK", 2)
    await dead(api, 3)
    await dead(api, 1, kind="other", begin=10)
    await api.context.dead_letters.insert_many([builders.dead_letter(WEBHOOKS.name, b"nothing")])
    run = await start(api, kind="dead-letters", queue="webhook")
    assert (await run_of(api, run))["expected"] == 5
    await finish(ReplayRunner(api.context))
    done = await run_of(api, run)
    assert (done["status"], done["handled"], done["replayed"], done["refusedCount"]) == ("finished", 5, 4, 1)
    assert done["refused"][0]["reason"] == "the payload is not a job message"
    assert (done["failedAgain"], done["startedBy"]) == (0, "admin token")
    jobs = (await api.get("/queue/webhook/jobs?state=waiting")).data
    assert len(jobs) == 4
    again = builders.dead_letter(WEBHOOKS.name, b"{}", job_id=jobs[0]["id"])
    await api.context.dead_letters.insert_many([again])
    assert (await run_of(api, run))["failedAgain"] == 1
    assert [one["id"] for one in (await api.get("/replays")).data] == [run]


async def test_a_run_does_not_replay_what_fails_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead letter that is younger than the run stays, although it matches. Otherwise the run would not end."""
    monkeypatch.setattr(replay_runner, "CHUNK", 2)
    await dead(api, 2)
    run = await start(api, kind="dead-letters", queue="webhook")
    runner = ReplayRunner(api.context)
    await runner.step()
    assert await open_letters(api) == 0
    later = datetime.now(UTC) + timedelta(seconds=1)
    await api.context.dead_letters.insert_many([builders.dead_letter(WEBHOOKS.name, b"{}", failed_at=later)])
    await finish(runner)
    assert (await run_of(api, run))["handled"] == 2
    assert await open_letters(api) == 1


async def test_a_rate_bounds_a_run_and_can_be_changed(api: Api) -> None:
    """Two a second are two a second, whatever the pauses of the process are; then all at once."""
    await dead(api, 12)
    clock = Clock()
    runner = ReplayRunner(api.context, clock=clock)
    run = await start(api, kind="dead-letters", rate=2)
    assert await runner.step() == PACE_S
    assert (await run_of(api, run))["replayed"] == 1
    await runner.step()
    assert (await run_of(api, run))["replayed"] == 1
    clock.now += 1.0
    await runner.step()
    assert (await run_of(api, run))["replayed"] == 3
    clock.now += 3600.0
    await runner.step()
    assert (await run_of(api, run))["replayed"] == 5
    changed = await api.post(f"/replays/{run}/rate", {"rate": None})
    assert changed.data["rate"] is None
    await finish(runner)
    assert (await run_of(api, run))["replayed"] == 12


async def test_a_stopped_run_leaves_the_rest_as_it_was(api: Api) -> None:
    await dead(api, 5)
    clock = Clock()
    runner = ReplayRunner(api.context, clock=clock)
    run = await start(api, kind="dead-letters", rate=1)
    await runner.step()
    stopped = (await api.post(f"/replays/{run}/stop")).data
    assert (stopped["status"], stopped["replayed"]) == ("stopped", 1)
    clock.now += 60
    await finish(runner)
    assert await open_letters(api) == 4
    assert (await api.post(f"/replays/{run}/stop")).status == 409
    assert (await api.post(f"/replays/{run}/rate", {"rate": 5})).status == 409


async def test_another_process_continues_a_run(api: Api) -> None:
    """When the lease of the process that began it is over. Nothing is replayed twice."""
    await dead(api, 4)
    clock = Clock()
    first, second = ReplayRunner(api.context, clock=clock), ReplayRunner(api.context, clock=clock)
    run = await start(api, kind="dead-letters", rate=1)
    await first.step()
    await api.database.fetch("update replay_runs set lease_until = now() + interval '1 hour'")
    assert await second.step() == IDLE_S
    await api.post(f"/replays/{run}/rate", {"rate": None})
    await api.database.fetch("update replay_runs set lease_until = now() - interval '1 s'")
    await finish(second)
    done = await run_of(api, run)
    assert (done["status"], done["replayed"]) == ("finished", 4)
    jobs = (await api.get("/queue/webhook/jobs?state=waiting")).data
    assert len({one["id"] for one in jobs}) == 4


async def test_a_chunk_whose_progress_is_lost_is_not_replayed_twice(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies after it has replayed the events. They were processed again when another one continues."""
    assert (await api.put("/flows/greeting", FLOW)).status == 200
    events = [new_event(), new_event()]
    await api.context.events.insert_many(events)

    async def process() -> None:
        await api.database.fetch("update events set status = 'processed', processed_at = now()")

    await process()
    run = await start(api, kind="events", webhookId="orders", status="processed", again=True)

    async def die(*_: object) -> None:
        raise StoreUnavailable("postgres", "the process died")

    with monkeypatch.context() as dying:
        dying.setattr(ReplayRunRepository, "save", die)
        with pytest.raises(StoreUnavailable):
            await ReplayRunner(api.context).step()
    await process()
    await api.database.fetch("update replay_runs set lease_until = now() - interval '1 s'")
    await finish(ReplayRunner(api.context))
    assert (await run_of(api, run))["status"] == "finished"
    assert [(await api.get(f"/events/{one.id}")).data["replay"] for one in events] == [1, 1]


async def test_executions_and_events_are_replayed_in_the_background(api: Api) -> None:
    """Executions once each; events by the present definition of their webhook; a limit is kept."""
    assert (await api.put("/flows/greeting", FLOW)).status == 200
    failures = await failed(api, BROKEN, 3)
    run = await start(api, kind="executions", error="http-status", limit=2)
    await finish(ReplayRunner(api.context))
    done = await run_of(api, run)
    assert (done["status"], done["expected"], done["replayed"]) == ("finished", 2, 2)
    replays = [one["replayOf"] for one in (await api.get("/executions?status=queued")).data]
    assert {UUID(one) for one in replays} < set(failures)

    events = [new_event(), new_event()]
    await api.context.events.insert_many(events)
    await builders.fail_jobs(api.database, WEBHOOKS, *({"eventId": str(one.id)} for one in events))
    run = await start(api, kind="events", webhookId="orders")
    await finish(ReplayRunner(api.context))
    assert (await run_of(api, run))["replayed"] == 2
    assert {(await api.get(f"/events/{one.id}")).data["status"] for one in events} == {"received"}


async def test_an_error_ends_a_run_and_is_shown(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await dead(api, 1)

    async def broken(*_: object) -> None:
        raise RuntimeError("a broken step")

    monkeypatch.setitem(STEPS, "dead-letters", broken)
    run = await start(api, kind="dead-letters")
    await finish(ReplayRunner(api.context))
    done = await run_of(api, run)
    assert (done["status"], done["error"]) == ("failed", "RuntimeError: a broken step")
    assert await open_letters(api) == 1


async def test_wrong_runs_are_named(api: Api) -> None:
    """Filters of other kinds, unknown ids, and a repeated request."""
    assert fields_of(await api.post("/replays", {"kind": "events", "queue": "flow", "from": "failed-step"})) == [
        "queue",
        "from",
    ]
    assert fields_of(await api.post("/replays", {"kind": "dead-letters", "queue": "none"})) == ["queue"]
    assert (await api.get(f"/replays/{new_id()}")).status == 404
    assert (await api.post(f"/replays/{new_id()}/stop")).status == 404
    request = str(new_id())
    for _ in range(2):
        assert await start(api, kind="events", requestId=request) == request
    assert len((await api.get("/replays")).data) == 1


async def test_a_deleted_dead_letter_is_restored_as_it_was(api: Api) -> None:
    """One by its id, many by their deletion. A dry run deletes nothing."""
    await dead(api, 3)
    [one, *_] = (await api.get("/dead-letters")).data
    assert (await api.delete(f"/dead-letters/{one['id']}")).data["deleted"] is True
    assert (await api.get(f"/dead-letters/{one['id']}")).status == 404
    assert (await api.post(f"/dead-letters/{one['id']}/restore")).data == {"id": one["id"]}
    assert (await api.get(f"/dead-letters/{one['id']}")).data == one
    assert (await api.post(f"/dead-letters/{one['id']}/restore")).status == 200
    assert (await api.post(f"/dead-letters/{new_id()}/restore")).status == 404

    body = {"queue": "webhook", "fingerprint": one["fingerprint"]}
    counted = (await api.post("/dead-letters/delete", body | {"dryRun": True})).data
    assert counted == {"dryRun": True, "deleted": 3, "deletion": None}
    assert await open_letters(api) == 3
    gone = (await api.post("/dead-letters/delete", body | {"limit": 2})).data
    assert (gone["deleted"], await open_letters(api)) == (2, 1)
    assert (await api.post("/dead-letters/restore", {"deletion": gone["deletion"]})).data == {"restored": 2}
    assert await open_letters(api) == 3


async def test_a_group_shows_since_which_version_it_fails(api: Api) -> None:
    """The lowest version of the failures of the group."""
    assert (await api.put("/flows/greeting", FLOW)).status == 200
    await failed(api, ErrorDetail(kind="timeout", message="slow", node_id="crm"))
    assert (await api.put("/flows/greeting", FLOW | {"name": "Second"})).status == 200
    await failed(api, BROKEN, 2)
    groups = (await api.get("/executions/groups")).data
    assert {(one["error"]["kind"], one["sinceVersion"]) for one in groups} == {("timeout", 1), ("http-status", 2)}
