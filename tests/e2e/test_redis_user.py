"""The Redis user of docs/operations/security.md has no administrator rights, and all that the processes need."""

import json
import re
from pathlib import Path

from filas_local.servers import RedisServer
from tests.documents import ROOT
from tests.e2e.pipeline import Pipeline, receiver, until_all_final
from tests.e2e.test_restore import CHANNEL, FLOW, WEBHOOK


async def test_a_user_without_administrators_rights_is_enough(
    own_redis: RedisServer, postgres_dsn: str, tmp_path: Path
) -> None:
    """A message is delivered, the operator's routes answer, and dangerous commands of the user are refused."""
    found = re.search(r"`(ACL SETUSER filas on >PASSWORD [^`]*)`", (ROOT / "docs/operations/security.md").read_text())
    assert found is not None
    assert own_redis.execute(found[1].replace("PASSWORD", "sesame")).startswith("+OK")
    pipeline = Pipeline(own_redis.url, postgres_dsn, tmp_path)
    pipeline.environment |= {"REDIS_USERNAME": "filas", "REDIS_PASSWORD": "sesame"}
    async with receiver() as outside, pipeline:
        await pipeline.api("PUT", "/api/channels/outside", CHANNEL | {"url": f"{outside.url}/in"})
        await pipeline.api("PUT", "/api/flows/say", FLOW)
        await pipeline.api("PUT", "/api/webhooks/say", WEBHOOK)
        status, _ = await pipeline.webhook("say", json.dumps({"from": "+55", "text": "oi"}).encode())
        assert status == 200
        [ended] = await until_all_final(pipeline, 1)
        assert ended["status"] == "succeeded"
        for method, route in (
            ("GET", "/api/queue/stats"),
            ("POST", "/api/queue/clean"),
            ("GET", "/api/queue/flow/jobs?state=completed"),
            ("GET", "/api/scaling"),
        ):
            await pipeline.api(method, route)
        parts = {one["part"]: one for one in (await pipeline.api("GET", "/api/doctor"))["parts"]}
        assert parts["redis"]["ok"] is True, parts["redis"]
        for name in ("ingest", "ingest-admin", "ingest-worker", "flow-runner", "notifier"):
            assert "NOPERM" not in pipeline.log(name)
    replies = own_redis.execute("AUTH filas sesame", "FLUSHALL", "CONFIG GET requirepass", "ACL LIST")
    assert replies.count("-NOPERM") == 3
