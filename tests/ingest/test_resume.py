"""`/resume/{token}`: each address accepts one callback, which is stored before it is answered."""

import asyncio
import uuid
from typing import Any
from uuid import UUID

import msgspec
import pytest

from filas.contract.policies import FLOWS
from filas.crypto.resume_tokens import ResumeTokens
from filas.models.executions import Checkpoint, NewExecution
from filas.repository.definitions.flows import FlowRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from ingest.resume.resume_page import preferred
from tests.flow_runner.harness import chain, node
from tests.ingest.serving import TOKENS, Serving, serving

TRIGGER = msgspec.json.encode({"webhook": {"body": {}, "headers": {}, "queryParams": {}}, "message": None}).decode()


async def execution(app: Serving, callback: UUID | None = None, status: str = "waiting-callback") -> UUID:
    """Creates an execution in the state that it has after its first run."""
    await FlowRepository(app.database).store("flow", chain(node("d", "delay", ms=1)), "flow", publish=True)
    rows, event = ExecutionRepository(app.database), uuid.uuid4()
    new = NewExecution(
        id=uuid.uuid4(),
        event_id=event,
        flow_id="flow",
        node_id="start",
        channel="demo",
        contact="55119",
        trigger=TRIGGER,
    )
    await rows.start_many([(event, [new])])
    claimed = await rows.claim(new.id, 1, "worker", 30)
    assert claimed is not None
    await rows.checkpoint_many(
        [
            Checkpoint(
                execution_id=new.id,
                fence=claimed.fence,
                status=status,  # type: ignore[arg-type]
                state="{}",
                steps=[],
                notifications=[],
                awaits_callback=callback,
            )
        ]
    )
    return new.id


async def ask(app: Serving, method: str, token: str, **options: Any) -> tuple[int, str, dict[str, str]]:
    url = f"http://127.0.0.1:{app.port}/resume/{token}"
    async with app.session.request(method, url, **options) as answer:
        return answer.status, await answer.text(), {name.lower(): value for name, value in answer.headers.items()}


async def kept(app: Serving, callback: UUID) -> Any:
    row = await app.database.fetchrow("select payload from callbacks where id = $1", callback)
    return None if row is None else msgspec.json.decode(row["payload"])


async def flow_jobs(app: Serving) -> int:
    return int(await app.redis.command("ZCARD", FLOWS.name) or 0)


async def test_a_callback_is_stored_and_answered_and_resumes_its_execution(redis_url: str, postgres_dsn: str) -> None:
    """The flow gets body, headers and query, without credentials."""
    async with serving(redis_url, postgres_dsn) as app:
        callback = uuid.uuid4()
        token = TOKENS.make(await execution(app, callback), callback)
        headers = {"Authorization": "Bearer x", "X-Who": "Ana"}
        status, text, answered = await ask(app, "POST", token + "?a=1", json={"ok": True}, headers=headers)
        assert (status, msgspec.json.decode(text)) == (200, {"status": "accepted"})
        assert answered["cache-control"] == "no-store"
        call = await kept(app, callback)
        assert (call["body"], call["queryParams"], call["headers"]["x-who"]) == ({"ok": True}, {"a": "1"}, "Ana")
        assert "Bearer" not in str(call)
        assert await flow_jobs(app) == 1


async def test_a_second_callback_changes_nothing(redis_url: str, postgres_dsn: str) -> None:
    async with serving(redis_url, postgres_dsn) as app:
        callback = uuid.uuid4()
        token = TOKENS.make(await execution(app, callback), callback)
        answers = await asyncio.gather(*(ask(app, "POST", token, json=n) for n in range(16)))
        assert sorted(status for status, _, _ in answers) == [200] + [409] * 15
        first = next(n for n, (status, _, _) in enumerate(answers) if status == 200)
        assert (await kept(app, callback))["body"] == first


async def test_an_early_callback_is_stored_and_a_late_one_is_rejected(redis_url: str, postgres_dsn: str) -> None:
    """Early: the execution still runs. Late: it has ended, continued without the callback, or was deleted."""
    async with serving(redis_url, postgres_dsn) as app:
        callback = uuid.uuid4()
        early = TOKENS.make(await execution(app, None, "running"), callback)
        assert (await ask(app, "POST", early))[0] == 200
        assert (await kept(app, callback))["body"] is None
        ended = TOKENS.make(await execution(app, None, "succeeded"), uuid.uuid4())
        closed = uuid.uuid4()
        row = await execution(app, closed)
        await app.database.fetch("insert into callbacks (id, execution_id) values ($1, $2)", closed, row)
        for token in (ended, TOKENS.make(row, closed), TOKENS.make(uuid.uuid4(), uuid.uuid4())):
            status, text, _ = await ask(app, "POST", token)
            assert (status, msgspec.json.decode(text)["detail"]) == (410, "the execution no longer waits for this call")
        assert await flow_jobs(app) == 0


@pytest.mark.parametrize("change", ["first", "last", "short", "long", "other key", "empty", "odd"])
async def test_an_unknown_token_is_rejected(change: str, redis_url: str, postgres_dsn: str) -> None:
    async with serving(redis_url, postgres_dsn) as app:
        ids = uuid.uuid4(), uuid.uuid4()
        good = TOKENS.make(*ids)
        token = {
            "first": ("B" if good[0] == "A" else "A") + good[1:],
            "last": good[:-1] + ("B" if good[-1] == "A" else "A"),
            "short": good[:-4],
            "long": good + "AAAA",
            "other key": ResumeTokens("another").make(*ids),
            "empty": "",
            "odd": "%00" * 20,
        }[change]
        for method in ("GET", "POST"):
            assert (await ask(app, method, token))[0] == 404


async def test_a_get_is_not_a_callback(redis_url: str, postgres_dsn: str) -> None:
    """A mail filter that follows the link gets a page with a button. Only the button makes the callback."""
    async with serving(redis_url, postgres_dsn) as app:
        callback = uuid.uuid4()
        token = TOKENS.make(await execution(app, callback), callback)
        browser = {"Accept": "text/html,*/*", "Accept-Language": "pt-BR,pt;q=0.9,en;q=0.8"}
        status, text, headers = await ask(app, "GET", token, headers=browser)
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert '<form method="post">' in text
        assert "Continuar" in text
        assert token not in text
        assert "default-src 'none'" in headers["content-security-policy"]
        assert await kept(app, callback) is None
        assert (await ask(app, "HEAD", token))[0] == 200
        status, text, _ = await ask(app, "POST", token, headers=browser, data={"choice": "yes"})
        assert (status, "Obrigado" in text) == (200, True)
        assert (await kept(app, callback))["body"] == {"choice": "yes"}
        status, text, _ = await ask(app, "POST", token, headers=browser)
        assert (status, "Já respondido" in text) == (409, True)


@pytest.mark.parametrize(
    ("options", "method", "status"),
    [
        ({}, "DELETE", 405),
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, "POST", 400),
        ({"data": b"x" * 300_000}, "POST", 413),
    ],
)
async def test_a_callback_that_cannot_be_stored_is_rejected_and_may_be_repeated(
    options: dict[str, Any], method: str, status: int, redis_url: str, postgres_dsn: str
) -> None:
    async with serving(redis_url, postgres_dsn) as app:
        callback = uuid.uuid4()
        token = TOKENS.make(await execution(app, callback), callback)
        assert (await ask(app, method, token, **options))[0] == status
        assert (await ask(app, "POST", token, json=1))[0] == 200


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("pt-BR", "pt-BR"),
        ("en-US,pt;q=0.5", "en"),
        ("de,pt;q=0.3", "pt-BR"),
        ("pt;q=x,en;q=0.1", "en"),
        (",;,", "en"),
    ],
)
def test_the_page_is_in_the_language_that_the_browser_prefers(accept: str, language: str) -> None:
    assert preferred(accept) == language
