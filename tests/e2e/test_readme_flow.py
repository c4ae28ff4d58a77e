"""The first flow of the README, step by step as it stands there, ends in the message that it promises."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline, until_all_final
from tests.waiting import eventually

README = Path(__file__).parents[2] / "README.md"


def steps() -> list[str]:
    """The shell blocks of the section, without the one that sets the variables."""
    text = README.read_text()
    section = text[text.index("## Your first flow") : text.index("## Receiving")]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [line for block in blocks[1:] for line in block.replace("\\\n", " ").split("\ncurl ")]


async def run_curl(pipeline: Pipeline, line: str, execution_id: str = "") -> Any:
    """Do what the curl line would do (no curl is needed); returns the decoded answer, which must be a good one."""
    line = line.replace("$FILAS", f"http://127.0.0.1:{pipeline.admin_ports['ingest-admin']}").replace(
        "$TOKEN", ADMIN_TOKEN
    )
    line = line.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{pipeline.port}").replace("THE-ID", execution_id)
    words = shlex.split(line.removeprefix("curl ").strip())
    method, headers, body, url = "", {}, None, ""
    arguments = iter(words)
    for word in arguments:
        match word:
            case "-X":
                method = next(arguments)
            case "-H":
                name, _, value = next(arguments).partition(": ")
                headers[name] = value
            case "-d":
                body = next(arguments)
            case "-s":
                continue
            case _:
                url = word
    async with pipeline.session.request(
        method or ("POST" if body else "GET"), url, headers=headers, data=body
    ) as answer:
        assert answer.status == 200, f"{url}: {answer.status} {await answer.text()}"
        return await answer.json()


@pytest.mark.timeout(120)
async def test_the_first_flow_of_the_readme_works_as_written(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """Channel, flow, webhook and post by the README's own lines: the greeting appears in the notifier's output."""
    async with Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        *before, listing, one = steps()
        for line in before:
            await run_curl(pipeline, line)
        await eventually(lambda: "Olá, Maria!" in pipeline.log("notifier"), timeout=20)
        (execution,) = await until_all_final(pipeline, 1)
        assert execution["status"] == "succeeded"
        listed = await run_curl(pipeline, listing)
        assert [row["id"] for row in listed["data"]] == [execution["id"]]
        shown = await run_curl(pipeline, one, execution["id"])
        assert [step["nodeId"] for step in shown["data"]["steps"]] == ["start", "says-oi", "think", "greet"]
