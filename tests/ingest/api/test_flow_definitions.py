"""Flow definitions in the API: their schema, the older format, and malformed ones of every kind."""

import json
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filas.flows.definition.json_schema import json_schema
from filas.flows.definition.older_builder_import import to_current_format
from filas.flows.publishing_checks import check
from tests.ingest.api.serving import FLOW, Api
from tests.long_form import examples
from tests.shared.flows.test_checks import GOOD, JSON, PATHS, problems, replaced
from tests.shared.flows.test_older_builder_import import NOW, OLDER

ASKED = examples(150)
"""The number of malformed definitions that are sent over HTTP."""


async def test_the_schema_is_served_without_an_envelope(api: Api) -> None:
    """An editor can read it. A stored definition conforms to it."""
    answer = await api.get("/flows/schema.json")
    assert (answer.status, answer.json) == (200, json_schema())
    assert answer.headers["Content-Type"].startswith("application/json")
    await api.put("/flows/greeting", FLOW)
    jsonschema_rs.Draft202012Validator(answer.json).validate((await api.get("/flows/greeting")).data["definition"])


async def test_the_schema_needs_a_token_and_is_in_the_document(api: Api) -> None:
    assert (await api.call("GET", "/flows/schema.json", token=None)).status == 401
    operation = (await api.get("/openapi.json")).json["paths"]["/api/flows/schema.json"]["get"]
    assert operation["operationId"] == "getFlowSchema"
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == {"type": "object"}


async def test_no_flow_can_have_the_path_of_the_schema(api: Api) -> None:
    refused = await api.put("/flows/schema.json", FLOW)
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "id")


async def test_the_older_format_is_converted(api: Api) -> None:
    """Both formats of one flow are one version. A test run accepts the older format too."""
    put = await api.put("/flows/older", OLDER)
    assert put.status == 200, put.text
    assert put.data["definition"] == NOW
    assert (await api.put("/flows/older", NOW)).data["version"] == 1
    run = await api.post("/flows/unsaved/test", {"definition": OLDER, "timeoutMs": 0})
    assert run.status == 202, run.text


async def test_warnings_do_not_prevent_publication_and_are_in_the_answer(api: Api) -> None:
    """A stored version has none. An error has its code too."""
    nodes = [{"id": "wait", "type": "delay", "data": {"cron": "0 9 13 * FRI"}}]
    edges = [{"source": "start", "target": "hello"}, {"source": "hello", "target": "wait"}]
    put = await api.put("/flows/greeting", FLOW | {"nodes": [*FLOW["nodes"], *nodes], "edges": edges})
    assert (put.status, put.data["published"]) == (200, True)
    (warning,) = put.data["warnings"]
    assert (warning["nodeId"], warning["field"], warning["code"]) == ("wait", "cron", "cron-meaning")
    assert "warnings" not in (await api.get("/flows/greeting")).data
    assert (await api.put("/flows/greeting", FLOW)).data["warnings"] == []
    refused = await api.put("/flows/greeting", FLOW | {"edges": []})
    assert [(one["nodeId"], one["code"]) for one in refused.json["errors"]] == [("hello", "unreachable")]


async def test_the_limits_of_the_channels_are_checked(api: Api) -> None:
    """The channel of a node, and the channel of the conversations that the flow's webhook names."""
    channel = {"type": "whatsapp", "phoneNumberId": "1", "accessToken": "t"}
    assert (await api.put("/channels/zap", channel)).status == 200
    buttons = [{"id": f"c{number}", "title": "Sim"} for number in range(11)]
    hello = {"id": "hello", "type": "message", "data": {"text": "?", "buttons": buttons}}
    body = FLOW | {"nodes": [FLOW["nodes"][0], hello]}
    assert (await api.put("/flows/greeting", body)).status == 200, "the channel is not known"
    webhook = {"flowId": "greeting", "auth": {"type": "none"}, "conversation": {"channel": "zap", "contact": "5"}}
    assert (await api.put("/webhooks/site", webhook)).status == 200
    refused = await api.put("/flows/greeting", body)
    (error,) = refused.json["errors"]
    assert (refused.status, error["nodeId"], error["field"]) == (422, "hello", "buttons")
    assert (error["code"], error["message"]) == ("beyond-channel-limit", "11 buttons; the limit of WhatsApp is 10")


async def test_a_malformed_definition_is_rejected_with_every_error(api: Api) -> None:
    """Any definition is stored, or answered 422 with all errors of the checks. Never 5xx."""
    bodies: list[Any] = []

    @settings(
        max_examples=ASKED, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(changes=st.lists(st.tuples(st.sampled_from(PATHS), JSON), min_size=1, max_size=5), whole=JSON)
    def make(changes: list[tuple[tuple[Any, ...], Any]], whole: Any) -> None:
        bodies.append(whole if len(bodies) % 10 == 0 else replaced(GOOD, changes))

    make()
    refused = 0
    for body in bodies:
        reply = await api.call(
            "PUT", "/flows/odd?force=true", data=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        assert reply.status in (200, 400, 422), (reply.status, reply.text, body)
        if reply.status == 422 and isinstance(body, dict):
            refused += 1
            found = {(one.get("nodeId"), one.get("field", ""), one["message"]) for one in reply.json["errors"]}
            assert found == set(problems(to_current_format(body)))
        elif reply.status == 200:
            assert check(to_current_format(body))[0] is not None
    assert refused > ASKED // 2
