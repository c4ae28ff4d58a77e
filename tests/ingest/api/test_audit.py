"""The audit: each change has one entry, stored with it, without secrets."""

import asyncio
import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from filas.contract.identity import new_id
from filas.contract.new_job import NewJob
from filas.contract.policies import FLOWS
from filas.errors import StoreUnavailable
from filas.models.access import NewAuditEntry, SignInFailures
from filas.repository.access.audit import AuditFilter, AuditRepository
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.postgres.joined_transaction import in_transaction
from filas.repository.retention import Ages, Retention
from ingest.access import audit_log
from ingest.access.audited_content import MAX_BYTES, audited
from ingest.access.call_audit import subject_of
from ingest.api.routes import ROUTES
from tests.ingest.api.seeding import queued_notifications
from tests.ingest.api.serving import FLOW, Api, Reply
from tests.ingest.api.test_history import started
from tests.ingest.api.test_keys import create
from tests.ingest.api.test_redrive import dead
from tests.waiting import eventually

HTTP = {"type": "http", "url": "https://example.com/hook", "secret": "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}
SCHEDULE = {"flowId": "f", "cron": "0 9 * * *"}


async def audit(api: Api, **filters: Any) -> list[dict[str, Any]]:
    """The entries, the oldest first."""
    reply = await api.get("/audit", params=filters)
    assert reply.status == 200, reply.text
    return list(reply.data[::-1])


async def last(api: Api) -> dict[str, Any]:
    return (await audit(api))[-1]


async def test_one_entry_is_shown_by_its_id(api: Api) -> None:
    """As it is in the list; only to an admin."""
    assert (await api.put("/channels/c", HTTP)).status == 200
    entry = await last(api)
    assert (await api.get(f"/audit/{entry['id']}")).data == entry
    assert (await api.get(f"/audit/{new_id()}")).status == 404
    assert (await api.get("/audit/x")).status == 404
    operator = await create(api, "operator", "Bea")
    assert (await api.get(f"/audit/{entry['id']}", token=operator["key"])).status == 403


async def test_an_entry_has_who_what_when_and_from_where(api: Api) -> None:
    key = await create(api, "admin", "Ana")
    assert (await api.put("/channels/c", HTTP, token=key["key"])).status == 200
    entry = await last(api)
    assert UUID(entry.pop("id")).version == 7
    at = datetime.fromisoformat(entry.pop("at"))
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    assert datetime.fromisoformat(entry.pop("lastAt")) == at
    after = entry.pop("after")
    assert (after["id"], after["url"], after["secret"]) == ("c", HTTP["url"], "***")
    assert entry == {
        "who": "Ana", "keyId": key["id"], "role": "admin", "address": "127.0.0.1", "action": "putChannel",
        "subject": "channels/c", "outcome": "done", "count": 1, "before": None,
    }  # fmt: skip


async def test_before_and_after_are_what_the_api_shows(api: Api) -> None:
    """Of each kind of definition: its creation, its change and its deletion."""
    await api.put("/flows/f", FLOW)
    await api.put("/flows/f", {**FLOW, "name": "Other"})
    await api.put("/channels/c", HTTP)
    await api.put("/channels/c", {**HTTP, "url": "https://example.com/other", "secret": "***"})
    await api.put("/webhooks/w", {"flowId": "f", "auth": {"type": "bearer", "secrets": ["hush-hush-hush"]}})
    await api.put("/webhooks/w", {"flowId": "f", "auth": {"type": "none"}})
    await api.put("/schedules/s", SCHEDULE)
    await api.put("/schedules/s", {**SCHEDULE, "cron": "0 8 * * *"})
    await api.put("/secrets/x", {"value": "env:SECRET_X"})
    await api.put("/secrets/x", {"value": "a-real-secret"})
    for path in ("/webhooks/w", "/channels/c", "/schedules/s", "/secrets/x", "/flows/f"):
        assert (await api.delete(path)).status == 200
    entries = await audit(api)
    found = {(entry["action"], number): entry for number, entry in enumerate(entries)}
    assert [(entry["action"], entry["subject"]) for entry in entries] == [
        *[("putFlow", "flows/f")] * 2, *[("putChannel", "channels/c")] * 2, *[("putWebhook", "webhooks/w")] * 2,
        *[("putSchedule", "schedules/s")] * 2, *[("putSecret", "secrets/x")] * 2, ("deleteWebhook", "webhooks/w"),
        ("deleteChannel", "channels/c"), ("deleteSchedule", "schedules/s"), ("deleteSecret", "secrets/x"),
        ("deleteFlow", "flows/f"),
    ]  # fmt: skip
    assert [entry["before"] is None for entry in entries[:10]] == [True, False] * 5
    assert [entry["after"] for entry in entries[10:]] == [None] * 5
    assert found["putFlow", 1]["before"] == {"version": 1, "name": "Greeting", "published": True}
    assert found["putFlow", 1]["after"] == {"version": 2, "name": "Other", "published": True}
    assert found["deleteFlow", 14]["before"]["definition"]["nodes"] == FLOW["nodes"]
    assert found["putChannel", 3]["before"]["url"] == HTTP["url"]
    assert found["putChannel", 3]["after"]["url"] == "https://example.com/other"
    assert found["putWebhook", 5]["before"]["auth"] == {"type": "bearer", "secrets": ["***"]}
    assert found["putWebhook", 5]["after"]["auth"] == {"type": "none"}
    assert (found["putSchedule", 7]["before"]["cron"], found["putSchedule", 7]["after"]["cron"]) == (
        "0 9 * * *",
        "0 8 * * *",
    )
    assert found["putSecret", 9]["before"] == {"name": "x", "value": "env:SECRET_X"}
    assert found["putSecret", 9]["after"] == {"name": "x", "value": "***"}
    for entry in entries[10:14]:
        assert entry["before"] == next(one["after"] for one in entries[9::-1] if one["subject"] == entry["subject"])


async def test_commands_have_an_entry_with_their_result(api: Api) -> None:
    """Also those that change only Redis."""
    await dead(api, 2)
    job = await api.context.producer.enqueue(NewJob(FLOWS, "a", None))
    letters = (await api.get("/dead-letters")).data
    await api.post("/queue/webhook/pause")
    await api.post("/queue/webhook/resume")
    await api.post("/queue/clean", {"state": "failed"})
    await api.post(f"/jobs/{job.job_id}/cancel")
    await api.post(f"/dead-letters/{letters[0]['id']}/replay")
    await api.post("/dead-letters/replay", {"queue": "webhook", "limit": 5})
    await api.call("DELETE", f"/dead-letters/{letters[1]['id']}")
    entries = await audit(api)
    assert [(entry["action"], entry["subject"]) for entry in entries] == [
        ("pauseQueue", "queue/webhook"),
        ("resumeQueue", "queue/webhook"),
        ("cleanQueues", "queue"),
        ("cancelJob", f"jobs/{job.job_id}"),
        ("replayDeadLetter", f"dead-letters/{letters[0]['id']}"),
        ("replayDeadLetters", "dead-letters"),
        ("deleteDeadLetter", f"dead-letters/{letters[1]['id']}"),
    ]
    assert {entry["outcome"] for entry in entries} == {"done"}
    assert (entries[0]["before"], entries[0]["after"]) == ({"paused": False}, {"paused": True})
    assert (entries[1]["before"], entries[1]["after"]) == ({"paused": True}, {"paused": False})
    assert entries[2]["after"]["request"]["state"] == "failed"
    assert entries[3]["after"]["outcome"] == "done"
    assert entries[5]["after"]["request"]["queue"] == "webhook"
    assert entries[5]["after"]["result"]["replayed"] == 1
    assert entries[6]["before"]["queue"] == "webhook-processing"


async def test_commands_for_one_object_have_an_entry_with_their_change(api: Api) -> None:
    """Cancels, replays and retries of executions, events and messages."""
    event, execution = await started(api)
    [first, second] = await queued_notifications(api, execution, 2)
    _, waiting = await started(api)
    await api.database.fetch("update notifications set status = 'failed', ended_at = now() where id = $1", first)
    before = len(await audit(api))
    await api.post(f"/notifications/{second}/cancel")
    assert (await api.post(f"/notifications/{first}/retry")).status == 200
    assert (await api.post(f"/executions/{waiting}/replay", {})).status == 409
    await api.post(f"/executions/{waiting}/cancel")
    replayed = (await api.post(f"/executions/{execution}/replay", {})).data
    await api.post(f"/events/{event}/replay")
    entries = (await audit(api))[before:]
    assert [(entry["action"], entry["subject"]) for entry in entries] == [
        ("cancelNotification", f"notifications/{second}"),
        ("retryNotification", f"notifications/{first}"),
        ("cancelExecution", f"executions/{waiting}"),
        ("replayExecution", f"executions/{execution}"),
        ("replayEvent", f"events/{event}"),
    ]
    assert (entries[0]["before"], entries[0]["after"]) == (
        {"status": "queued"},
        {"status": "queued", "cancel": "requested"},
    )
    assert entries[1]["after"]["id"] == str(first)
    assert entries[2]["after"]["cancel"] == "requested"
    assert entries[3]["after"] == replayed == {"id": replayed["id"], "replayOf": str(execution)}
    assert entries[4]["after"] == {"status": "received"}


async def test_the_address_is_that_of_the_client_behind_a_trusted_proxy(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header of any other client does not count."""
    headers = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}
    await api.post("/queue/webhook/pause", headers=headers)
    assert (await last(api))["address"] == "127.0.0.1"
    addresses = api.context.access.addresses
    monkeypatch.setattr(addresses, "has_proxies", True)
    monkeypatch.setattr(addresses, "is_trusted", lambda address: address == "127.0.0.1")
    await api.post("/queue/webhook/resume", headers=headers)
    assert (await last(api))["address"] == "203.0.113.7"
    await api.get("/flows", token=None, headers=headers)
    await api.context.access.audit.close()
    assert [entry["address"] for entry in await audit(api, action="signInFailed")] == ["203.0.113.7"]


async def test_what_changes_nothing_has_no_entry(api: Api) -> None:
    """A refused or repeated command, a dry run, a read, and events of producers, which are stored anyway."""
    await api.post("/queue/webhook/pause")
    before = await audit(api)
    assert (await api.post("/queue/webhook/pause")).data["changed"] is False
    assert (await api.put("/channels/c", {"type": "http"})).status == 422
    assert (await api.put("/flows/f", {"nodes": []})).status == 422
    assert (await api.delete("/channels/none")).status == 404
    assert (await api.delete("/secrets/none")).status == 404
    assert (await api.post("/dead-letters/replay", {"dryRun": True})).status == 200
    assert (await api.post("/events", {"events": []})).status == 200
    assert (await api.post(f"/executions/{new_id()}/cancel")).status == 404
    viewer = await create(api, "viewer")
    assert (await api.put("/channels/c", HTTP, token=viewer["key"])).status == 403
    assert [entry["action"] for entry in (await audit(api))[len(before) :]] == ["createKey"]


def test_every_route_that_changes_something_is_audited() -> None:
    """A route without an entry states why."""
    exempt = {route.path for route in ROUTES if route.method != "GET" and not route.is_audited}
    assert exempt == {
        "/events",
        "/flows/{id}/check",
        "/flows/{id}/differences",
        "/flows/{id}/draft",
        "/flows/import",
        "/flows/{id}/tests/run",
        "/schedules/preview",
    }
    assert all(route.unaudited or route.method == "GET" or route.is_audited for route in ROUTES)


@pytest.mark.parametrize(
    ("path", "values", "subject"),
    [
        ("/jobs/{id}/cancel", {"id": "x"}, "jobs/x"),
        ("/flows/{id}/test/{runId}", {"id": "f", "runId": "r"}, "flows/f/test/r"),
        ("/queue/clean", {}, "queue"),
        ("/keys", {}, "keys"),
    ],
)
def test_the_subject_is_the_path_of_the_object(path: str, values: dict[str, str], subject: str) -> None:
    assert subject_of(path, values) == subject


async def test_a_change_and_its_entry_are_stored_together_or_not_at_all(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the entry cannot be stored, the change is undone and the answer is an error."""
    await api.put("/channels/c", HTTP)

    async def fail(*_: object) -> None:
        raise StoreUnavailable("postgres", "gone")

    monkeypatch.setattr(AuditRepository, "insert", fail)
    assert (await api.put("/channels/c", {**HTTP, "url": "https://example.com/other"})).status == 503
    assert (await api.delete("/channels/c")).status == 503
    assert (await api.put("/flows/f", FLOW)).status == 503
    assert (await api.post("/queue/webhook/pause")).status == 503
    assert (await api.post("/keys", {"name": "x", "role": "admin"})).status == 503
    monkeypatch.undo()
    assert (await api.get("/channels/c")).data["url"] == HTTP["url"]
    assert (await api.get("/flows/f")).status == 404
    assert (await api.get("/keys")).data == []
    assert await api.context.pauses.all() == set()
    assert len(await audit(api)) == 1


async def test_the_entry_of_a_command_waits_while_postgres_is_unavailable(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that needs only Redis works then, and is not lost from the audit. Its time is that of the command."""

    async def fail(*_: object) -> None:
        raise StoreUnavailable("postgres", "gone")

    monkeypatch.setattr(AuditRepository, "insert", fail)
    began = datetime.now(UTC)
    assert (await api.post("/queue/clean", {})).status == 200
    monkeypatch.undo()
    entries = await eventually(lambda: audit(api))
    assert entries[0]["action"] == "cleanQueues"
    assert abs(datetime.fromisoformat(entries[0]["at"]) - began) < timedelta(minutes=1)


async def test_few_entries_wait_in_memory(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "MAX_WAITING", 2)

    async def fail(*_: object) -> None:
        raise StoreUnavailable("postgres", "gone")

    with monkeypatch.context() as outage:
        outage.setattr(AuditRepository, "insert", fail)
        for _ in range(4):
            await api.post("/queue/clean", {})
    assert len(await eventually(lambda: audit(api))) <= 2


async def test_a_command_that_fails_on_the_way_has_an_entry(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have changed something. The entry has no text of the error, which may contain a secret."""

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("whsec_secret in an error")

    monkeypatch.setattr("ingest.api.history.dead_letter_routes.redrive", fail)
    assert (await api.post("/dead-letters/replay", {"queue": "flow"})).status == 500
    entry = await last(api)
    assert (entry["action"], entry["outcome"]) == ("replayDeadLetters", "failed")
    assert (entry["after"]["error"], entry["after"]["request"]["queue"]) == ("RuntimeError", "flow")
    assert "whsec" not in json.dumps(entry)


async def test_changes_at_the_same_time_form_a_chain(api: Api) -> None:
    """What one has left is what the next one has found: no change comes between the reading and the change."""
    urls = [f"https://example.com/{number}" for number in range(8)]
    await asyncio.gather(*(api.put("/channels/c", {**HTTP, "url": url}) for url in urls))
    entries = sorted(await audit(api), key=lambda entry: entry["after"]["revision"])
    assert len(entries) == 8
    assert entries[0]["before"] is None
    for earlier, later in itertools.pairwise(entries):
        assert later["before"] == earlier["after"]


async def test_failed_sign_ins_are_one_row_for_each_address_and_minute(api: Api) -> None:
    """Counted, also by several processes. They name no token."""
    for _ in range(5):
        await api.get("/flows", token="guessed-" + "x" * 40)

    async def all_counted() -> bool:
        counts: list[int] = [entry["count"] for entry in await audit(api, action="signInFailed")]
        return sum(counts) == 5

    await eventually(all_counted)
    entries = await audit(api, action="signInFailed")
    assert len(entries) <= 2
    for entry in entries:
        assert (entry["who"], entry["subject"], entry["address"]) == ("unknown", "sign-in", "127.0.0.1")
        assert (entry["keyId"], entry["role"], entry["outcome"]) == (None, None, "failed")
        assert entry["at"] <= entry["lastAt"]
    assert "guessed" not in json.dumps(entries)
    minute = datetime(2026, 11, 27, 8, tzinfo=UTC)
    store = AuditRepository(api.database)
    one = SignInFailures(at=minute, last_at=minute + timedelta(seconds=5), address="203.0.113.7", count=3)
    later = SignInFailures(at=minute, last_at=minute + timedelta(seconds=9), address="203.0.113.7", count=4)
    await asyncio.gather(store.add_failures([later]), store.add_failures([one]))
    [entry] = await audit(api, until="2026-11-27T08:01:00Z", since="2026-11-27T08:00:00Z", action="signInFailed")
    assert (entry["count"], entry["lastAt"]) == (7, "2026-11-27T08:00:09Z")


async def test_failed_sign_ins_wait_while_postgres_is_unavailable(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise StoreUnavailable("postgres", "gone")

    monkeypatch.setattr(AuditRepository, "add_failures", fail)
    await api.get("/flows", token=None)
    with pytest.raises(StoreUnavailable):
        await api.context.access.audit._write()
    monkeypatch.undo()
    await api.context.access.audit.close()
    assert sum(entry["count"] for entry in await audit(api, action="signInFailed")) == 1


async def test_the_audit_never_has_a_secret_or_a_key(api: Api) -> None:
    """Wherever an administrator writes one: in the field for it, or by mistake in another one."""
    key = (await create(api, "admin"))["key"]
    signing = "whsec_" + "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo="
    secrets = ["hush-hush-hush", signing, "a-real-secret", "pa55-word-text", key]
    await api.put("/secrets/x", {"value": secrets[2]}, token=key)
    await api.put("/channels/c", {**HTTP, "secret": secrets[1]})
    await api.put("/channels/t", {"type": "telegram", "token": secrets[0]})
    config = {"password": secrets[3], "list": [{"apiKey": secrets[3]}], "tokens": [secrets[3]], "note": f"use {key}!"}
    auth = {"type": "bearer", "secrets": [secrets[0]]}
    assert (await api.put("/webhooks/w?force=true", {"flowId": "f", "auth": auth, "config": config})).status == 200
    await api.put(f"/channels/{key}", HTTP)
    await api.delete(f"/channels/{key}")
    await api.put("/schedules/s", {**SCHEDULE, "input": {"authorization": f"Bearer {key}"}})
    for path in ("/webhooks/w", "/channels/c", "/channels/t", "/schedules/s", "/secrets/x"):
        await api.delete(path)
    stored = repr([dict(row) for row in await api.database.fetch("select * from audit_entries")])
    for secret in [*secrets, key[20:]]:
        assert secret not in stored


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ({"auth": {"type": "bearer", "secrets": ["***", "env:SECRET_A"]}}, None),
        ({"token": "plain"}, {"token": "[redacted]"}),
        ({"secrets": ["plain", "***"]}, {"secrets": ["[redacted]", "***"]}),
        ({"headers": {"Authorization": "Bearer x"}}, {"headers": {"Authorization": "[redacted]"}}),
        ({"a": ["filas_" + "k" * 43]}, {"a": ["[redacted]"]}),
        ({"filas_" + "k" * 43: 1}, {"[redacted]": 1}),
        ({"keyId": "x", "prefix": "filas_abcdef", "count": 3, "ok": True}, None),
        ({"text": "a" * MAX_BYTES}, {"omitted": "too large", "bytes": MAX_BYTES + 11}),
        ({"text": "\ud800"}, None),
    ],
)
def test_the_content_of_an_entry_is_bounded_and_has_no_secret(value: Any, expected: Any) -> None:
    """None in the table: the value is unchanged."""
    assert audited(value) == (value if expected is None else expected)


async def _entries(api: Api) -> None:
    """Entries of three clients, in pairs with the same time."""
    store = AuditRepository(api.database)
    at = datetime(2026, 11, 1, tzinfo=UTC)
    for number, (who, action, subject) in enumerate(
        [
            ("Ana", "putFlow", "flows/a"),
            ("Ana", "putFlow", "flows/b"),
            ("Bia", "putWebhook", "webhooks/a"),
            ("Bia", "deleteFlow", "flows/a"),
            ("Bia", "cleanQueues", "queue"),
            ("admin token", "pauseQueue", "queue/flow"),
        ]
    ):
        entry = NewAuditEntry(
            id=UUID(int=number), who=who, key_id=None, role=None, address="", action=action, subject=subject,
            outcome="done", before=None, after=None,
        )  # fmt: skip
        await store.insert(entry, at + timedelta(days=number // 2))
        await store.insert(entry)  # a repeated call stores nothing twice


@pytest.mark.parametrize(
    ("filters", "subjects"),
    [
        ({}, ["flows/a", "flows/b", "webhooks/a", "flows/a", "queue", "queue/flow"]),
        ({"who": "Ana"}, ["flows/a", "flows/b"]),
        ({"action": "putFlow"}, ["flows/a", "flows/b"]),
        ({"subject": "flows/a"}, ["flows/a", "flows/a"]),
        ({"subject": "flows"}, ["flows/a", "flows/b", "flows/a"]),
        ({"subject": "queue"}, ["queue", "queue/flow"]),
        ({"subject": "flow"}, []),
        ({"subject": "flows/"}, []),
        ({"since": "2026-11-02T00:00:00Z"}, ["webhooks/a", "flows/a", "queue", "queue/flow"]),
        ({"until": "2026-11-02T00:00:00Z"}, ["flows/a", "flows/b"]),
        ({"who": "Bia", "subject": "flows", "since": "2026-11-02T00:00:00Z"}, ["flows/a"]),
    ],
)
async def test_filters_and_pages(api: Api, filters: dict[str, str], subjects: list[str]) -> None:
    """In any combination, and with pages of every size."""
    await _entries(api)
    assert [entry["subject"] for entry in await audit(api, **filters)] == subjects
    for limit in (1, 2, 5):
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page: Reply = await api.get("/audit", params={**filters, **cursor, "limit": limit})
            found += [entry["subject"] for entry in page.data]
            if page.json["nextCursor"] is None:
                break
            cursor = {"cursor": page.json["nextCursor"]}
        assert found == subjects[::-1]


async def test_old_entries_and_keys_are_deleted(api: Api) -> None:
    """After 400 days by default. A valid key is kept, whatever its age."""
    await _entries(api)
    valid, revoked, expired, recent = [await create(api, "viewer", str(number)) for number in range(4)]
    await api.database.fetch("update api_keys set created_at = now() - interval '500 days'")
    change = "update api_keys set {} = now() - interval '{} days' where id = $1"
    await api.database.fetch(change.format("revoked_at", 401), UUID(revoked["id"]))
    await api.database.fetch(change.format("expires_at", 401), UUID(expired["id"]))
    await api.database.fetch(change.format("revoked_at", 399), UUID(recent["id"]))
    await api.database.fetch("update audit_entries set at = now() - interval '401 days' where subject like 'flows/%'")
    counts = await Retention(api.database, chunk_rows=2).purge(datetime.now(UTC), Ages())
    assert (counts["audit_entries"], counts["api_keys"]) == (3, 2)
    assert {key["id"] for key in (await api.get("/keys")).data} == {valid["id"], recent["id"]}


async def test_a_joined_transaction_is_one_and_runs_again_after_a_deadlock(api: Api) -> None:
    """All repositories over the same database take part, and others do not."""
    channels, runs = ChannelRepository(api.database), []

    async def work() -> str:
        runs.append(1)
        await channels.delete("a")
        await api.database.fetch("select pg_advisory_xact_lock(1)")
        if len(runs) == 1:
            await api.database.fetch("do $$ begin raise exception using errcode = 'deadlock_detected'; end $$")
        async with api.database.transaction() as connection:
            await connection.execute("insert into queue_pauses (queue) values ('q')")
        return "done"

    assert await in_transaction(api.database, work) == "done"
    assert len(runs) == 2
    assert await api.context.pauses.all() == {"q"}

    async def fail() -> None:
        await api.context.pauses.resume("q")
        raise KeyError("stop")

    with pytest.raises(KeyError):
        await in_transaction(api.database, fail)
    assert await api.context.pauses.all() == {"q"}
    found = await AuditRepository(api.database).search(AuditFilter(), cursor=None, limit=5)
    assert re.fullmatch(r"\[\]", repr(found.items))
