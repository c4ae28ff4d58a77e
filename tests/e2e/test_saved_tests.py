"""Saved tests of a flow: kept, run on request and before publishing, through the API, the queue and a flow-runner."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.api.definitions import saved_test_runs
from tests.e2e.test_flow_tests import installed
from tests.flow_runner.harness import chain, node
from tests.ingest.api.serving import Api, fields_of, serving
from tests.shared.cli.inside import inside

ASK = node("ask", "input", prompt="Name?", variable="nome")
CALL = node("crm", "api", method="POST", url="https://crm.example/x", body={"name": "{{ vars.nome }}"})


def flow(words: str = "Hello") -> dict[str, Any]:
    return chain(ASK, CALL, node("hi", "message", text=words + " {{ vars.nome }}!"), variables=[{"name": "nome"}])


CASE: dict[str, Any] = {
    "request": {"conversation": {"text": "oi"}, "replies": ["Ana"]},
    "expect": {
        "status": "succeeded",
        "chat": ["Name?", "Hello Ana!"],
        "calls": [{"nodeId": "crm", "method": "POST", "body": {"name": "Ana"}}],
        "vars": {"nome": "Ana"},
    },
}


async def test_a_failing_test_refuses_the_publication(postgres_dsn: str, redis_url: str) -> None:
    """The 422 has every test with its differences. Nothing is stored. `skipTests` publishes all the same."""
    async with installed(postgres_dsn, redis_url) as api:
        assert (await api.put("/flows/hello", flow())).data["tests"] == []
        assert (await api.put("/flows/hello/tests/name", CASE)).status == 200
        assert (await api.put("/flows/hello/tests/status", {"expect": {"status": "waiting-input"}})).status == 200
        again = await api.put("/flows/hello", flow() | {"description": "2"})
        assert [(one["name"], one["status"]) for one in again.data["tests"]] == [
            ("name", "passed"),
            ("status", "passed"),
        ]
        refused = await api.put("/flows/hello", flow("Bye"))
        assert fields_of(refused) == ["tests.name"]
        [error] = refused.json["errors"]
        assert error["message"] == 'chat[1]: expected "Hello Ana!", found "Bye Ana!"'
        assert error["code"] == "test-failed"
        assert [(one["name"], one["status"]) for one in refused.json["tests"]] == [
            ("name", "failed"),
            ("status", "passed"),
        ]
        assert refused.json["tests"][0]["differences"] == [
            {"field": "chat[1]", "expected": "Hello Ana!", "found": "Bye Ana!"}
        ]
        assert (await api.get("/flows/hello")).data["version"] == 2
        assert (await api.put("/flows/hello?publish=false", flow("Later"))).data["tests"] == []
        skipped = await api.put("/flows/hello?skipTests=true", flow("Bye"))
        assert (skipped.status, skipped.data["tests"]) == (200, [])


async def test_the_tests_of_a_flow_are_run_on_request(postgres_dsn: str, redis_url: str, tmp_path: Path) -> None:
    """With a definition that is not stored too. A test that no longer fits its flow fails with the reason. The command
    line runs them, and the file of one."""
    async with installed(postgres_dsn, redis_url) as api:
        await api.put("/flows/hello", flow())
        await api.put("/flows/hello/tests/name", CASE)
        await api.put("/flows/hello/tests/old", {"request": {"nodeId": "gone"}})
        found = (await api.post("/flows/hello/tests/run", {})).data
        assert [(one["name"], one["status"], one["reason"]) for one in found] == [
            ("name", "passed", ""),
            ("old", "failed", "nodeId: unknown node 'gone'"),
        ]
        other = await api.post("/flows/hello/tests/run", {"definition": flow("Bye"), "names": ["name"]})
        assert [(one["name"], one["status"]) for one in other.data] == [("name", "failed")]
        assert (await api.delete("/flows/hello/tests/old")).status == 200
        run = await inside(api, "flows", "test", "hello", "--saved")
        assert (run.code, run.out) == (0, "passed: name\n")
        changed = tmp_path / "hello.json"
        changed.write_text(json.dumps(flow("Bye")))
        run = await inside(api, "flows", "test", str(changed), "--saved")
        assert run.code == 1
        assert run.out == 'failed: name\n  chat[1]\n    expected: "Hello Ana!"\n    found:    "Bye Ana!"\n'
        case = tmp_path / "case.json"
        case.write_text((await inside(api, "flows", "tests", "export", "hello", "name")).out)
        for subject, code in (("hello", 0), (str(changed), 1)):
            run = await inside(api, "flows", "test", subject, "--case", str(case))
            assert (run.code, run.out.splitlines()[0]) == (code, f"{'failed' if code else 'passed'}: {case}")
        refused = await inside(api, "flows", "apply", str(changed))
        assert (refused.code, 'chat[1]: expected "Hello Ana!"' in refused.out) == (1, True)
        assert (await inside(api, "flows", "apply", "--skip-tests", str(changed))).code == 0


async def test_without_a_flow_runner_the_answer_states_it(
    postgres_dsn: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_test_runs, "WAIT_S", 0.2)
    async with serving(redis_url, postgres_dsn) as api:
        await api.put("/flows/hello/tests/name", CASE)
        refused = await api.put("/flows/hello", flow())
        assert refused.status == 422
        [error] = refused.json["errors"]
        assert (error["code"], "is one running?" in error["message"]) == ("test-not-run", True)
        assert (await api.get("/flows/hello")).status == 404
        found = (await api.post("/flows/hello/tests/run", {"definition": flow(), "timeoutMs": 0})).data
        assert [one["status"] for one in found] == ["not-run"]


async def test_a_test_is_kept_as_it_was_written(postgres_dsn: str, redis_url: str) -> None:
    """Also before its flow is stored. It is deleted with the flow, and each change is audited."""
    async with serving(redis_url, postgres_dsn) as api:
        saved = await api.put("/flows/hello/tests/name of it", CASE)
        assert saved.status == 200, saved.text
        assert (saved.data["request"], saved.data["expect"], saved.data["name"]) == (
            {"conversation": {"contact": "test", "channel": "test", "text": "oi"}, "replies": ["Ana"]},
            CASE["expect"],
            "name of it",
        )
        assert (await api.get("/flows/hello/tests/name of it")).data == saved.data
        assert (await api.get("/flows/hello/tests")).data == [saved.data]
        assert (await api.get("/flows/hello/tests/none")).status == 404
        assert (await api.delete("/flows/hello/tests/none")).status == 404
        assert (await api.put("/flows/hello?skipTests=true", flow())).status == 200
        assert (await api.delete("/flows/hello")).status == 200
        assert (await api.get("/flows/hello/tests")).data == []
        [entry] = (await api.get("/audit?subject=flows/hello/tests/name of it")).data
        assert (entry["action"], entry["before"], entry["after"]["name"]) == ("putSavedTest", None, "name of it")


async def test_wrong_tests_are_refused(postgres_dsn: str, redis_url: str) -> None:
    async with serving(redis_url, postgres_dsn) as api:
        await refused(api, "name", {"request": {"version": 1}}, "request.version")
        await refused(api, "name", {"request": {"realSecrets": True}}, "request.realSecrets")
        await refused(api, "name", {"expect": {"status": "fine"}}, "expect.status")
        await refused(api, "name", {"expect": {"chat": [5]}}, "expect.chat[0]")
        await refused(api, "name", {"expect": {"calls": [{"url": "x"}]}}, "expect.calls[0].nodeId")
        await refused(api, "name", {"request": {"replies": ["x" * 60_000, "y" * 60_000]}}, "request")
        await refused(api, "x" * 101, {}, "name")
        await refused(api, " name", {}, "name")
        for number in range(50):
            assert (await api.put(f"/flows/hello/tests/{number}", {})).status == 200
        assert (await api.put("/flows/hello/tests/one-more", {})).status == 409
        assert (await api.put("/flows/hello/tests/7", CASE)).status == 200


async def refused(api: Api, name: str, body: Any, field: str) -> None:
    assert fields_of(await api.put(f"/flows/hello/tests/{name}", body)) == [field]
