"""The commands of the tutorial and of the how-to guides, run as they are written against running processes."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.documents import ROOT, shell_blocks
from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline, Receiver, receiver, until_all_final
from tests.waiting import eventually


class Shell:
    """Runs blocks of a document in bash, with the addresses of a pipeline."""

    def __init__(self, pipeline: Pipeline, home: Path, base_url: str = "") -> None:
        self._port = pipeline.port
        self._base_url = base_url
        curl = home / "bin" / "curl"
        curl.parent.mkdir()
        curl.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.e2e.curl_command "$@"\n')
        curl.chmod(0o755)
        api = f"http://127.0.0.1:{pipeline.admin_ports['ingest-admin']}"
        self._environment = {
            **os.environ,
            "PATH": f"{curl.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "FILAS": api,
            "TOKEN": ADMIN_TOKEN,
        }

    async def run(self, block: str) -> str:
        """The output of a block. Fails with it if a command fails."""
        script = block.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{self._port}")
        if self._base_url:
            # The provider is replaced by the receiver of the test.
            script = re.sub(
                r'\n  "type": "(whatsapp|telegram|slack)", ', rf'\g<0>"baseUrl": "{self._base_url}", ', script
            )
        process = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", script, cwd=ROOT, env=self._environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output = (await process.communicate())[0].decode()
        assert process.returncode == 0, f"{script}\n{output}"
        return output


async def test_the_tutorial_works_as_written(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """Channel, flow, webhook and request by the tutorial's own commands: the notifier prints the greeting."""
    blocks = [block for block in shell_blocks("docs/getting-started.md") if block.startswith("curl")]
    async with Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        shell = Shell(pipeline, tmp_path)
        for block in blocks[:-1]:
            await shell.run(block)
        await eventually(lambda: "Olá, Maria!" in pipeline.log("notifier"))
        (execution,) = await until_all_final(pipeline, 1)
        assert execution["status"] == "succeeded"
        listed, shown = (await shell.run(blocks[-1].replace("THE-ID", execution["id"]))).splitlines()
        assert [row["id"] for row in json.loads(listed)["data"]] == [execution["id"]]
        steps = json.loads(shown)["data"]["steps"]
        assert [step["nodeId"] for step in steps] == ["start", "is-oi", "think", "greet"]


async def test_the_first_flow_of_the_readme_works_as_written(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """Channel, flow, webhook and request by the README's own commands: the notifier prints the greeting."""
    async with Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        shell = Shell(pipeline, tmp_path)
        for block in [block for block in shell_blocks("README.md") if block.startswith("curl")]:
            await shell.run(block)
        await eventually(lambda: "Olá, Maria!" in pipeline.log("notifier"))


SENT: dict[str, tuple[str, str]] = {
    "whatsapp": ("/v23.0/106540352242922/messages", "Como podemos ajudar?"),
    "telegram": ("/bot110201543:YOUR-BOT-TOKEN/sendMessage", "Como podemos ajudar?"),
    "slack": ("/api/chat.postMessage", "Como podemos ajudar?"),
    "github": ("/api/chat.postMessage", "asks for a review"),
}
"""What each guide makes Filas send to the provider: the path, and a part of the body."""


def sent(outside: Receiver, path: str) -> str:
    """The bodies that arrived at a path, with the escapes of JSON resolved."""
    return " ".join(json.dumps(json.loads(body), ensure_ascii=False) for _, body in outside.at(path))


@pytest.mark.parametrize("provider", SENT)
async def test_a_provider_guide_works_as_written(
    provider: str, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Channel, flow, webhook and signed request by the guide's own commands: the provider receives the answer."""
    path, text = SENT[provider]
    async with receiver() as outside, Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        shell = Shell(pipeline, tmp_path, outside.url)
        outputs = [await shell.run(block) for block in shell_blocks(f"docs/how-to/{provider}.md", tested=True)]
        assert '"status":"received"' in outputs[-1]
        await eventually(lambda: text in sent(outside, path))


async def test_the_guide_for_stripe_works_as_written(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """A signed payment starts the flow, and the notifier prints the thanks."""
    async with Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        shell = Shell(pipeline, tmp_path)
        for block in shell_blocks("docs/how-to/stripe.md", tested=True):
            await shell.run(block)
        await eventually(lambda: "Recebemos 49.9 BRL. Obrigado!" in pipeline.log("notifier"))


async def test_the_hand_over_works_as_written(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """The team is notified with an address; calling it ends the hand-over."""
    async with Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        shell = Shell(pipeline, tmp_path)
        setup, messages = shell_blocks("docs/how-to/human-hand-over.md", tested=True)
        await shell.run(setup)
        first, second = re.findall(r"curl .*?\n.*?\n", messages)
        await shell.run(first)
        await eventually(lambda: "Como podemos ajudar?" in pipeline.log("notifier"))
        await shell.run(second)
        await eventually(lambda: "alguém da equipe" in pipeline.log("notifier"))
        token = re.search(r"/resume/([\w.~-]+)", pipeline.log("notifier"))
        assert token is not None
        await shell.run(f"curl -X POST http://127.0.0.1:8080/resume/{token[1]}")
        await eventually(lambda: "O atendimento foi encerrado" in pipeline.log("notifier"))


async def test_the_guide_to_a_missing_reply_finds_the_delivered_one(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Its commands lead from the event through the execution to the notification."""
    async with Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        shell = Shell(pipeline, tmp_path)
        for block in [block for block in shell_blocks("docs/getting-started.md") if block.startswith("curl")][:-1]:
            await shell.run(block)
        await until_all_final(pipeline, 1)

        async def delivered() -> bool:
            return all(one["status"] == "delivered" for one in await notifications())

        async def notifications() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = await pipeline.api("GET", "/api/notifications")
            return found

        await eventually(delivered)
        output = await shell.run("\n".join(shell_blocks("docs/how-to/no-reply.md", tested=True)))
        *_, steps, found = output.splitlines()
        assert json.loads(steps)["data"]["status"] == "succeeded"
        assert [one["status"] for one in json.loads(found)["data"]] == ["delivered"]
