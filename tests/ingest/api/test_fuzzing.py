"""The running process, called with requests that its OpenAPI document allows, and with others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.core import NotSet
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from filas.contract.identity import new_id
from filas.contract.policies import QUEUES, WEBHOOKS
from filas.models.contacts import FoundConversation, ReportedContact
from filas.repository.contacts.contact_repository import ContactRepository
from ingest.api.routes import ROUTES
from tests.ingest.api.seeding import attempted, delayed_job, queued_notifications
from tests.ingest.api.serving import FLOW, SECRET_KEY, TOKEN, Api, serving
from tests.ingest.api.test_history import dead_letter, started
from tests.ingest.api.test_refusal_routes import refusal, stored
from tests.ingest.test_processes import environment, running
from tests.shared.flows.imports.typebots import said, typebot
from tests.waiting import eventually

EXAMPLES = 12
"""The number of valid and of invalid requests to each operation. The whole test takes about 20 seconds."""

RUNS = ("POST /api/flows/{id}/test", "POST /api/flows/{id}/tests/run")
"""Operations that wait for a flow-runner by default."""

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


async def seeded(api: Api) -> dict[str, list[str]]:
    """Stores one object of every kind. Returns the existing ids by the first part of their path."""
    await api.put("/channels/console", {"type": "console"})
    await api.put("/secrets/shop", {"value": "s"})
    await api.put("/webhooks/orders?force=true", {"flowId": "greeting", "dedupe": {"path": "id"}})
    await api.put("/channels/tested", {"type": "console"})
    signed = {"flowId": "greeting", "auth": {"type": "github", "secrets": ["one", "two"]}}
    assert (await api.put("/webhooks/signed?force=true", signed)).status == 200
    schedule = {"flowId": "greeting", "cron": "0 9 * * *"}
    assert (await api.put("/schedules/daily?force=true", schedule)).status == 200
    event, execution = await started(api)
    [notification] = await queued_notifications(api, execution)
    await attempted(api, notification, succeeds=True)
    letter = await dead_letter(api, b'{"schemaVersion":1}', WEBHOOKS.name, WEBHOOKS.job_id(str(new_id())))
    # schemathesis writes no braces into a path, and the ids of our own jobs start with one.
    await delayed_job(api, "stock-job")
    handed = await api.post("/events", {"events": [{"webhookId": "orders", "body": {"id": 1}}]})
    run = await api.post("/flows/greeting/test", {"timeoutMs": 0})
    case = {"request": {"replies": ["1"]}, "expect": {"status": "succeeded", "chat": ["Hello"]}}
    assert (await api.put("/flows/tested", FLOW)).status == 200
    assert (await api.put("/flows/tested/draft", {"definition": FLOW})).status == 200
    assert (await api.put("/flows/drafted/draft", {"definition": FLOW})).status == 200
    assert (await api.put("/flows/tested/tests/menu", case)).status == 200
    reported = ReportedContact(channel="console", address="5511999990000")
    target = {"channel": "console", "to": "operators"}
    assert (await api.put("/alerts/console-alert", {"metric": "dead-letters", "to": [target]})).status == 200
    key = await api.post("/keys", {"name": "Ana", "role": "viewer"})
    [contact] = await ContactRepository(api.database).find_many([reported])
    assert isinstance(contact, FoundConversation)
    replay = await api.post("/replays", {"kind": "executions", "flowId": "no-such-flow"})
    refused = refusal(1)
    await stored(api, refused)
    return {
        "replays": [replay.data["id"]],
        "refusals": [str(refused.id)],
        "test-runs": [run.data["id"]],
        "keys": [key.data["id"]],
        "audit": [(await api.get("/audit")).data[0]["id"]],
        "channels": ["console"],
        "contacts": [str(contact.contact_id)],
        "secrets": ["shop"],
        "schedules": ["daily"],
        "scaling": ["flow-runner"],
        "flows": ["greeting"],
        "flow-versions": ["1"],
        "saved-tests": ["menu"],
        "tested-flows": ["tested"],
        "webhooks": ["orders"],
        "events": [str(event), handed.data["events"][0]["eventId"]],
        "executions": [str(execution)],
        "notifications": [str(notification)],
        "dead-letters": [letter],
        "jobs": ["stock-job"],
        "queue": [queue.short for queue in QUEUES],
        "conversations": [str(contact.id)],
        "analytics": ["executions", "events"],
        "alerts": ["dead-letters", "late-queue"],
        "tested-alerts": ["console-alert"],
        "tested-channels": ["tested"],
        "drafts": ["drafted"],
        "signed-webhooks": ["signed"],
        "place": ["0", "1"],
    }


def narrowed(document: dict[str, Any], known: dict[str, list[str]]) -> dict[str, Any]:
    """Returns the document with only the existing ids in its paths, and with the nodes of a whole flow, which random
    values would not form."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                if parameter["in"] == "path":
                    kind = "test-runs" if parameter["name"] == "runId" else path.split("/")[2]
                    if parameter["name"] in ("before", "after"):
                        kind = "flow-versions"
                    # Of a flow that no operation publishes, without a runner, or deletes.
                    if path.startswith(("/api/flows/{id}/tests", "/api/flows/{id}/draft")):
                        kind = "saved-tests" if parameter["name"] == "name" else "tested-flows"
                    if path == "/api/alerts/{id}/test":  # of an alert that no other operation changes or deletes
                        kind = "tested-alerts"
                    if path == "/api/flows/{id}/draft":  # which no publication removes
                        kind = "drafts"
                    if path == "/api/channels/{id}/test":
                        kind = "tested-channels"
                    if path.startswith("/api/webhooks/{id}/secrets"):
                        kind = "place" if parameter["name"] == "place" else "signed-webhooks"
                    parameter["schema"] = {"enum": known[kind]}
    flow = document["components"]["schemas"]["FlowBody"]["properties"]
    flow["nodes"], flow["edges"] = {"enum": [FLOW["nodes"]]}, {"enum": [FLOW["edges"]]}
    flow["variables"] = {"enum": [[]]}
    document["components"]["schemas"]["RunTestsBody"]["properties"] |= {
        "timeoutMs": {"enum": [0]},
        "definition": {"enum": [None, FLOW]},
        "names": {"enum": [None, ["menu"]]},
    }
    settings = document["components"]["schemas"]["Settings"]["properties"]
    settings["locale"], settings["timezone"] = {"enum": ["pt-BR"]}, {"enum": ["America/Sao_Paulo"]}
    schedule = document["components"]["schemas"]["ScheduleBody"]
    schedule["required"] = ["flowId", "cron"]  # or the times in `at`, which the schema does not express
    schedule["properties"] |= {
        "flowId": {"enum": ["greeting"]},
        "cron": {"enum": ["30 8 * * *"]},
        "timezone": {"enum": ["America/Sao_Paulo"]},
        "startsAt": {"enum": [None, "2030-01-01T00:00:00Z"]},
    }
    document["components"]["schemas"]["WebhookBody"]["properties"] |= {
        "flowId": {"enum": ["greeting"]},
        "nodeId": {"enum": [None, "start"]},
        "conversation": {"enum": [None, {"channel": "console", "contact": "{{ body.from }}"}]},
        "filter": {"enum": [None, "body.a == 1"]},
    }
    shown = {
        "id",
        "revision",
        "createdAt",
        "updatedAt",
        "nextRunAt",
        "nextRuns",
        "lastRunAt",
        "lastExecutionId",
        "lastError",
    }
    for name in shown | {"at", "endsAt", "conversation"}:
        del schedule["properties"][name]
    document["components"]["schemas"]["FlowTestBody"]["properties"] |= {
        "timeoutMs": {"enum": [0]},
        "nodeId": {"enum": [None, "hello"]},
        "webhookId": {"enum": [None, "orders"]},
        "definition": {"enum": [None, FLOW]},
    }
    imported = document["components"]["schemas"]["FlowImportBody"]["properties"]
    imported["from"], imported["document"] = {"enum": ["typebot"]}, {"enum": [typebot(said("Oi"))]}
    imported["flowId"] = {"enum": [None, "greeting"]}
    return document


@pytest_asyncio.fixture
async def api_and_ids(redis_url: str, postgres_dsn: str) -> AsyncIterator[tuple[Api, dict[str, list[str]]]]:
    """The API over stores with an object of every kind."""
    async with serving(redis_url, postgres_dsn) as api:
        yield api, await seeded(api)


def fuzz(url: str, document: dict[str, Any]) -> dict[str, set[int]]:
    """Calls every operation, those that delete last. Returns the statuses of each."""
    answered: dict[str, set[int]] = {}
    found = [
        result.ok()
        for result in schemathesis.openapi.from_dict(document).get_all_operations()
        if isinstance(result, Ok)
    ]
    with requests.Session() as session:
        for operation in sorted(found, key=_deletes):
            answered[operation.label] = {
                status
                for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
                for status in fuzz_operation(operation.label, operation.as_strategy(mode), url, session)
            }
    return answered


def _deletes(operation: Any) -> int:
    """The place of an operation in the order: the deletion of one object comes late, that of many last."""
    return 2 if operation.label.endswith("/delete") else int(str(operation.method).upper() == "DELETE")


def fuzz_operation(
    operation: str, cases: SearchStrategy[schemathesis.Case[Any]], url: str, session: requests.Session
) -> set[int]:
    """Calls one operation with EXAMPLES cases, the same in every run. Returns its statuses."""
    statuses: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def call(case: schemathesis.Case[Any]) -> None:
        if operation in RUNS and isinstance(case.body, NotSet):
            case.body, case.media_type = {}, "application/json"
        if operation in RUNS and isinstance(case.body, dict):
            case.body.setdefault("timeoutMs", 0)  # no flow-runner runs, so no result is waited for
        response = case.call(base_url=url, headers=HEADERS, session=session)
        statuses.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    with suppress(Unsatisfiable):  # an operation without input has no invalid request
        call()
    return statuses


async def test_every_answer_conforms_to_the_document(
    api_and_ids: tuple[Api, dict[str, list[str]]], redis_url: str, postgres_dsn: str
) -> None:
    """No 5xx, no undocumented answer, and no stack trace in the log."""
    api, known = api_and_ids
    variables = environment(
        redis_url, postgres_dsn, FILAS_ADMIN_TOKEN=TOKEN, FILAS_SECRET_KEY=SECRET_KEY, OUTBOUND_ALLOW="127.0.0.0/8"
    )
    async with running("admin", variables) as process:

        async def ready() -> bool:
            return (await process.get("/readyz"))[0] == 200

        await eventually(ready)
        document = (await api.get("/openapi.json")).json
        url = f"http://127.0.0.1:{process.port}"
        answered = await asyncio.to_thread(fuzz, url, narrowed(document, known))
        assert await ready()
    assert set(answered) == {f"{route.method} /api{route.path}" for route in ROUTES}
    unmet = {name: statuses for name, statuses in answered.items() if not statuses & {200, 202, 409}}
    assert unmet == {}, "only rejections"


async def test_the_document_is_valid(api: Api) -> None:
    """By the schema of OpenAPI 3.1."""
    document = (await api.get("/openapi.json")).json
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
