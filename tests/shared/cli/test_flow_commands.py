"""`filas flows …`: check, apply, diff, test, export, against a running API and offline."""

import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from filas.flows.differences import Difference, differences
from tests.flow_runner.harness import chain, flow, node
from tests.flow_runner.processes import running
from tests.ingest.api.serving import FLOW, SECRET_KEY, TOKEN, Api, serving
from tests.shared.cli.running import Run, filas
from tests.shared.flows.test_older_builder_import import NOW, OLDER


@pytest_asyncio.fixture
async def api(redis_url: str, postgres_dsn: str) -> AsyncIterator[Api]:
    """A running API."""
    async with serving(redis_url, postgres_dsn) as served:
        yield served


async def asked(api: Api, *arguments: str, given: Any = None) -> Run:
    """A command that asks this API; `given` is its input as JSON."""
    environ = {"FILAS_URL": api.url, "FILAS_ADMIN_TOKEN": TOKEN}
    return await filas("flow", *arguments, environ=environ, given="" if given is None else json.dumps(given))


def written(path: Path, definition: dict[str, Any]) -> str:
    """The file's name, after the definition has been written to it as a person would."""
    path.write_text(json.dumps(definition, indent=2, ensure_ascii=False))
    return str(path)


async def test_flows_are_applied_exported_and_listed(api: Api, tmp_path: Path) -> None:
    """By their files' names or `--id`; the same again is unchanged, a draft isn't published."""
    one, two = written(tmp_path / "greeting.json", FLOW), written(tmp_path / "other.json", FLOW | {"name": "Other"})
    applied = await asked(api, "apply", one, two)
    assert (applied.code, applied.out) == (0, "greeting version 1 published\nother version 1 published\n")
    again = await asked(api, "apply", "-", "--id", "greeting", given=(await asked(api, "export", "greeting")).json)
    assert again.out == "greeting version 1 unchanged\n"
    draft = await asked(api, "apply", "-", "--id", "greeting", "--no-publish", given=FLOW | {"name": "Next"})
    assert draft.out == "greeting version 2 stored, not published\n"
    exported = await asked(api, "export", "greeting")
    assert exported.json == FLOW
    assert (await asked(api, "export", "greeting", "--version", "2")).json["name"] == "Next"
    assert "greeting" in (await asked(api, "list")).out


async def test_a_wrong_flow_is_refused_with_each_error(api: Api) -> None:
    """A table of the errors, one line of summary, exit code 1."""
    run = await asked(api, "apply", "-", "--id", "greeting", given={**FLOW, "edges": []})
    assert run.code == 1
    assert "hello" in run.out
    assert run.err.startswith("Error: -: Invalid")
    assert len(run.err.splitlines()) == 1


@pytest.mark.starts_processes
async def test_check_needs_no_server(tmp_path: Path) -> None:
    """Exit code 0 if all are OK; 1 with every error, its file and the line of its node otherwise."""
    good, bad = written(tmp_path / "good.json", FLOW), written(tmp_path / "bad.json", {**FLOW, "edges": []})
    run = await filas("flow", "check", good)
    assert (run.code, run.out) == (0, f"{good}: OK\n")
    run = await filas("flow", "check", good, bad)
    assert run.code == 1
    assert f"{good}: OK" in run.out
    found = (await filas("flow", "check", good, bad, "--json")).json
    text = json.dumps({**FLOW, "edges": []}, indent=2)
    assert [(one["file"], one["nodeId"]) for one in found] == [(bad, "hello")]
    assert '"id": "hello"' in text.splitlines()[found[0]["line"] - 1]


DOUBTFUL = chain(node("wait", "delay", cron="0 9 13 * FRI"), node("hi", "message", text="x", channel="sales"))


async def test_warnings_are_shown_and_do_not_fail(api: Api, tmp_path: Path) -> None:
    """By `check`, which names what it cannot look up, and by `apply`."""
    file = written(tmp_path / "odd.json", DOUBTFUL)
    run = await filas("flow", "check", file)
    assert run.code == 0, run.err
    assert f"{file}: OK, with warnings:" in run.out
    assert "warning: day of the month 13 and day of the week FRI: one of them is sufficient" in run.out
    assert run.out.endswith("Not checked without a server: channel sales\n")
    (found,) = (await filas("flow", "check", file, "--json")).json
    assert (found["nodeId"], found["code"], found["severity"]) == ("wait", "cron-meaning", "warning")
    refused = await asked(api, "apply", file)
    assert refused.code == 1
    assert "no channel 'sales' is stored: store it first" in refused.out
    applied = await asked(api, "apply", "--force", file)
    assert applied.code == 0, applied.err
    assert "warning: no channel 'sales'" in applied.out
    assert "odd version 1 published" in applied.out
    assert "warning: day of the month 13" in applied.out


async def test_flows_are_applied_after_the_flows_that_they_use(api: Api, tmp_path: Path) -> None:
    """Whatever the order of the files is. Flows that use each other are accepted too."""
    main = chain(node("call", "subflow", flowId="b-part"), settings={"errorFlowId": "c-error"})
    files = [
        written(tmp_path / "a-main.json", main),
        written(tmp_path / "b-part.json", chain(node("call", "subflow", flowId="d-ring"))),
        written(tmp_path / "c-error.json", FLOW),
        written(tmp_path / "d-ring.json", chain(node("call", "subflow", flowId="e-ring"))),
        written(tmp_path / "e-ring.json", chain(node("call", "subflow", flowId="d-ring"))),
    ]
    run = await asked(api, "apply", *files, "--json")
    assert run.code == 0, run.err
    assert [one["id"] for one in run.json] == ["e-ring", "d-ring", "b-part", "c-error", "a-main"]
    assert all(one["published"] for one in run.json)
    alone = await asked(api, "apply", written(tmp_path / "z.json", chain(node("call", "subflow", flowId="none"))))
    assert alone.code == 1
    assert "no flow 'none' is stored" in alone.out


async def test_every_flow_command_accepts_the_older_builders_format(api: Api, tmp_path: Path) -> None:
    """`check` finds no error, `diff` finds no difference after `apply`, and `export` writes the current format."""
    file = written(tmp_path / "older.json", OLDER)
    assert (await filas("flow", "check", file)).code == 0
    assert (await asked(api, "apply", file)).code == 0
    assert (await asked(api, "diff", file)).code == 0
    assert (await asked(api, "export", "older")).json == NOW


@pytest.mark.starts_processes
async def test_a_file_that_is_no_json_is_reported_by_line(tmp_path: Path) -> None:
    """Exit code 2, line and column."""
    file = tmp_path / "broken.json"
    file.write_text('{"nodes": [\n  {"id": "a",}\n]}')
    for command in ("check", "apply", "diff", "test"):
        run = await filas("flow", command, str(file), environ={"FILAS_ADMIN_TOKEN": "x"})
        assert run.code == 2
        assert f"{file}, line 2, column" in run.err.splitlines()[-1]


async def test_diff_shows_what_would_change(api: Api, tmp_path: Path) -> None:
    """Against the published version: exit code 0 where nothing would, 1 with each field where something would."""
    file = written(tmp_path / "greeting.json", FLOW)
    nothing = await asked(api, "diff", file)
    assert (nothing.code, nothing.out.splitlines()[-1]) == (1, "+ edge start → hello")
    await asked(api, "apply", file)
    same = await asked(api, "diff", file)
    assert (same.code, same.out) == (0, f"{file} equals version 1 of greeting\n")
    changed = copy.deepcopy(FLOW)
    changed["nodes"][1]["data"]["text"] = "Bye"
    run = await asked(api, "diff", "-", "--id", "greeting", given=changed)
    assert (run.code, run.out) == (1, '~ node hello: data.text: "Hello {{ webhook.body.name }}" → "Bye"\n')
    found = (await asked(api, "diff", "-", "--id", "greeting", "--json", given=changed)).json
    assert [(one["kind"], one["field"]) for one in found] == [("changed", "data.text")]


BASE = flow(node("a", "delay", ms=5), node("b", "message", text="x"), edges="start>a a>b")


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (BASE, []),
        ({**BASE, "name": "n"}, [Difference("added", "flow", "", "name", None, "n")]),
        ({**BASE, "settings": {"maxSteps": 5}}, [Difference("added", "flow", "", "settings", None, {"maxSteps": 5})]),
        (
            {**BASE, "variables": [{"name": "v", "type": "any"}]},
            [Difference("added", "variable", "v", "", None, {"name": "v", "type": "any"})],
        ),
        (
            flow(node("a", "delay", ms=6), node("b", "message", text="x"), edges="start>a a>b"),
            [Difference("changed", "node", "a", "data.ms", 5, 6)],
        ),
        (
            flow(node("a", "delay", ms=5), edges="start>a"),
            [
                Difference("removed", "node", "b", "", {"type": "message", "data": {"text": "x"}}),
                Difference("removed", "edge", "a → b", ""),
            ],
        ),
        ({**BASE, "edges": BASE["edges"][::-1]}, [Difference("changed", "flow", "", "drawing")]),
        ({**BASE, "viewport": {"x": 1}}, [Difference("changed", "flow", "", "drawing")]),
        (
            flow(node("a", "delay", ms=True), node("b", "message", text="x"), edges="start>a a>b"),
            [Difference("changed", "node", "a", "data.ms", 5, True)],
        ),
    ],
)
def test_differences_are_listed_by_field(after: dict[str, Any], found: list[Difference]) -> None:
    """Nodes, edges, variables and settings; what is only drawn is one word."""
    assert differences(BASE, after) == found


def test_the_order_of_edges_out_of_one_way_is_a_difference() -> None:
    """They run in that order."""
    before = flow(node("a", "end"), node("b", "end"), edges="start>a start>b")
    after = {**before, "edges": before["edges"][::-1]}
    assert differences(before, after) == [Difference("changed", "edge", "start", "order", ["a", "b"], ["b", "a"])]


NAME = [{"name": "nome", "default": "ninguém"}]
TALK = chain(
    node("call", "api", url="https://crm.example/x", responseMapping=[{"variable": "nome", "path": "body.name"}]),
    node("wait", "delay", ms=86_400_000, endOnReply=True),
    node("hi", "message", text="Olá {{ vars.nome }}, {{ conversation.text }} {{ webhook.body.id }}!"),
    variables=NAME,
)


async def test_a_flow_is_tried_from_a_file_and_from_the_store(
    api: Api, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """The trace is a table or JSON, and the exit code is the outcome."""
    async with running(postgres_dsn, redis_url, FILAS_SECRET_KEY=SECRET_KEY):
        file = written(tmp_path / "talk.json", TALK)
        event = written(tmp_path / "event.json", {"id": 7})
        answers = written(tmp_path / "answers.json", {"call": {"body": {"name": "Ana"}}})
        given = ["--event", event, "--answers", answers, "--text", "oi"]
        run = await asked(api, "test", file, *given, "--reply", "sim")
        assert run.code == 0, run.err
        assert "GET https://crm.example/x (200)" in run.out
        assert "to test over test: Olá Ana, sim 7!" in run.out
        assert run.out.endswith("\nsucceeded after 0 s\n")
        assert (await asked(api, "test", file, *given)).out.endswith("\nsucceeded after 1 d\n")
        chat = await asked(api, "test", file, *given, "--chat", "--no-reply")
        assert chat.out.splitlines()[0].split(maxsplit=2) == ["0", "s", "contact  oi"]
        assert chat.out.splitlines()[1].split(maxsplit=2) == ["1", "d", "flow     Olá Ana, oi 7!"]
        assert chat.out.endswith("\nsucceeded after 1 d\n")
        replies = written(tmp_path / "replies.json", [None, "sim"])  # type: ignore[arg-type]
        timed_out = await asked(api, "test", file, *given, "--replies", replies)
        assert timed_out.out.endswith("\nsucceeded after 1 d; 1 replies were not used\n")
        refused = written(tmp_path / "no.json", {"call": {"status": 404}})
        failed = await asked(api, "test", file, "--answers", refused)
        assert (failed.code, failed.out.splitlines()[-1]) == (
            1,
            "failed after 0 s at call: http-status: the response's status is 404",
        )
        await asked(api, "apply", file)
        stored = await asked(api, "test", "talk", "--from", "hi", "--var", "nome=Eva", "--event", event, "--json")
        assert stored.code == 0
        assert [call["payload"]["text"] for call in stored.json["calls"]] == ["Olá Eva,  7!"]
        assert stored.json["version"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["test", "nothing"], 1, "no flow 'nothing'"),
        (["test", "-", "--version", "1"], 2, "--version"),
        (["test", "-", "--var", "nome"], 2, "NAME=VALUE"),
        (["test", "-", "--event", "no-such-file.json"], 2, "no-such-file.json"),
        (["test", "-", "--from", "nobody"], 1, "nodeId"),
        (["test", "-", "--reply", "a", "--replies", "x.json"], 2, "--replies"),
        (["apply", "-"], 2, "--id"),
        (["apply", "-", "-", "--id", "x"], 2, "--id"),
        (["export", "nothing"], 1, "no flow 'nothing'"),
    ],
)
async def test_a_wrong_call_is_one_line(api: Api, arguments: list[str], code: int, word: str) -> None:
    """2 for what is wrong with the call, 1 for what the API refuses."""
    run = await asked(api, *arguments, given=TALK)
    assert run.code == code, run.err
    assert word in run.err.splitlines()[-1]
    assert "Traceback" not in run.err
