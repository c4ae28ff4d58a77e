"""Definitions over the API: their schema, the older shape, and malformed ones of every kind."""

import json
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filas.flows.definition.json_schema import json_schema
from filas.flows.definition.older_builder_import import converted
from filas.flows.publishing_checks import check
from tests.ingest.api.serving import FLOW, Api
from tests.long_form import examples
from tests.shared.flows.test_checks import GOOD, JSON, PATHS, problems, replaced
from tests.shared.flows.test_older_shape import NOW, OLDER

ASKED = examples(150)
"""How many malformed definitions are sent over HTTP."""


async def test_the_schema_is_served_as_it_is(api: Api) -> None:
    """Without an envelope, so that an editor can read it; what was put fits it."""
    answer = await api.get("/flows/schema.json")
    assert (answer.status, answer.json) == (200, json_schema())
    assert answer.headers["Content-Type"].startswith("application/json")
    await api.put("/flows/greeting", FLOW)
    jsonschema_rs.Draft202012Validator(answer.json).validate((await api.get("/flows/greeting")).data["definition"])


async def test_the_schema_needs_a_token_and_stands_in_the_document(api: Api) -> None:
    assert (await api.call("GET", "/flows/schema.json", token=None)).status == 401
    operation = (await api.get("/openapi.json")).json["paths"]["/api/flows/schema.json"]["get"]
    assert operation["operationId"] == "getFlowSchema"
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == {"type": "object"}


async def test_no_flow_takes_the_address_of_the_schema(api: Api) -> None:
    refused = await api.put("/flows/schema.json", FLOW)
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "id")


async def test_the_older_shape_is_stored_in_the_present_one(api: Api) -> None:
    """Put in either shape it is one version; a test run takes the older shape, too."""
    put = await api.put("/flows/older", OLDER)
    assert put.status == 200, put.text
    assert put.data["definition"] == NOW
    assert (await api.put("/flows/older", NOW)).data["version"] == 1
    run = await api.post("/flows/unsaved/test", {"definition": OLDER, "timeoutMs": 0})
    assert run.status == 202, run.text


async def test_a_malformed_definition_is_refused_with_every_error(api: Api) -> None:
    """Whatever it is, 422 with the errors that the checks find, all of them; or it is stored. Never a 5xx."""
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
        reply = await api.call("PUT", "/flows/odd", data=json.dumps(body), headers={"Content-Type": "application/json"})
        assert reply.status in (200, 400, 422), (reply.status, reply.text, body)
        if reply.status == 422 and isinstance(body, dict):
            refused += 1
            found = {(one.get("nodeId"), one.get("field", ""), one["message"]) for one in reply.json["errors"]}
            assert found == set(problems(converted(body)))
        elif reply.status == 200:
            assert check(converted(body))[1] == []
    assert refused > ASKED // 2
