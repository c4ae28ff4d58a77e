"""Errors are sentences that name the next command to try; and the shell completes names."""

import os
import socket
import subprocess
import sys

import pytest

from filas.cli import advice
from filas.cli.api_client import Client, CommandFailed
from tests.ingest.api.conftest import api
from tests.ingest.api.serving import FLOW, Api
from tests.shared.cli.inside import inside
from tests.shared.cli.running import ENTRY

__all__ = ["api"]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("webhooks show nothing", "Not found: no webhook 'nothing'. `filas webhooks list` lists them."),
        ("flows show nothing", "Not found: no flow 'nothing'. `filas flows list` lists them."),
        ("channels resume nothing", "Not found: no channel 'nothing'. `filas channels list` lists them."),
        ("jobs show nothing", "`filas jobs list QUEUE` lists them; a finished job is forgotten after a while."),
        ("executions show 062218f3-a422-50e0-859c-e0ee1c2e0225", "`filas executions list` lists them."),
    ],
)
async def test_what_is_not_there_is_listed_by_a_command(api: Api, command: str, sentence: str) -> None:
    """Exit code 1, one line."""
    run = await inside(api, *command.split())
    assert (run.code, run.out, len(run.err.splitlines())) == (1, "", 1)
    assert run.err.endswith(f"{sentence}\n")


async def test_a_refusal_lists_every_wrong_field(api: Api) -> None:
    """In one sentence, instead of only the first with a number."""
    document = {"flowId": "greeting", "conversation": {"channel": "none", "contact": "{{ bodi.x }}"}}
    several = await inside(api, "webhooks", "apply", "shop", "-", given=document)
    assert (several.code, "(and " in several.err) == (1, False)
    assert "no flow 'greeting' is stored" in several.err
    assert "channel" in several.err


async def test_a_role_that_is_too_low_is_explained(api: Api) -> None:
    """By the role that the route needs, and how to see the key."""
    key = (await api.post("/keys", {"name": "Ana", "role": "viewer"})).data["key"]
    run = await inside(api, "queues", "pause", "flow", FILAS_API_KEY=key)
    assert run.code == 1
    assert "needs the role operator" in run.err
    assert run.err.endswith("`filas keys current` shows which key is used.\n")
    wrong = await inside(api, "stats", FILAS_API_KEY="filas_wrong")
    assert wrong.err.endswith("`filas login` stores another.\n")


async def test_a_definition_that_is_used_is_deleted_only_by_force(api: Api) -> None:
    """The sentence names the option."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/webhooks/shop", {"flowId": "greeting"})
    run = await inside(api, "flows", "delete", "greeting")
    assert (run.code, "`--force` deletes it nevertheless." in run.err) == (1, True)
    assert (await inside(api, "flows", "delete", "greeting", "--force")).out == "greeting deleted\n"


def test_the_reasons_why_an_api_does_not_answer_differ() -> None:
    """Nothing there, something that hangs, and another program."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(CommandFailed, match="does not answer: `filas doctor` shows which process hangs"):
            Client(url, "x", timeout_s=0.1).get("queue", "stats")
    with pytest.raises(CommandFailed, match=r"nothing answers at 127.0.0.1:.*: is `make up`"):
        Client(url, "x").get("queue", "stats")
    unknown = advice.unreachable("http://user:hush@filas.invalid:81", OSError(113, "No route to host"))
    assert unknown.startswith("filas.invalid:81 cannot be reached (No route to host): is FILAS_URL")
    assert "is not the API of Filas" in advice.other_program(url)


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("words", "found"),
    [("filas chan", "channels"), ("filas executions rep", "replay-all"), ("filas jobs list notif", "notification")],
)
def test_the_shell_completes_commands_and_values(words: str, found: str) -> None:
    """As click's script for bash asks. Older names are not offered."""
    environ = {
        "PATH": os.environ["PATH"],
        "_FILAS_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = subprocess.run(
        [sys.executable, "-c", ENTRY], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    offered = done.stdout.replace("plain,", "").split()
    assert found in offered
    assert "job" not in offered
