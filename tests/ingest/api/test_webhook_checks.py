"""What a webhook refers to is checked when it is stored: flow, node, channel, and the names in templates and filter."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from filas.contract.event_envelope import WebhookSnapshot
from filas.contract.identity import new_id
from filas.models.events import NewEvent
from tests.ingest.api.serving import FLOW, Api, fields_of

RULE = {"channel": "console", "contact": "{{ body.from }}", "text": "{{ body.text }}"}


async def prepare(api: Api, *bodies: Any, content_type: str = "application/json") -> None:
    """Stores the flow, the channel, and recorded events of the webhook `shop`."""
    assert (await api.put("/flows/greeting", FLOW)).status == 200
    assert (await api.put("/channels/console", {"type": "console"})).status == 200
    rows = [
        NewEvent(
            id=new_id(), webhook_id="shop", flow_id="greeting", node_id="start", method="POST",
            headers='{"x-from":"1","content-type":"application/json"}', query_params='{"page":"1"}',
            body=body if isinstance(body, bytes) else json.dumps(body).encode(), content_type=content_type,
            remote_address="192.0.2.1", duplicate_key=None, group_key=None,
            config=msgspec.json.encode(WebhookSnapshot()).decode(), received_at=datetime.now(UTC),
        )
        for body in bodies
    ]  # fmt: skip
    if rows:
        await api.context.events.insert_many(rows)


async def problems(api: Api, **fields: Any) -> dict[str, str]:
    """Returns the message of each wrong field."""
    reply = await api.put("/webhooks/shop", {"flowId": "greeting", **fields})
    return {} if reply.status == 200 else {one["field"]: one["message"] for one in reply.json["errors"]}


async def test_every_error_is_reported_at_once(api: Api) -> None:
    await prepare(api)
    reply = await api.put(
        "/webhooks/shop",
        {
            "flowId": "greting",
            "rateLimit": {"max": 0},
            "conversation": {"channel": "consle", "contact": "{{ boddy.from }}", "text": "{{ body.text"},
            "filter": {"rules": [{"variable": "{{ mesage.text }}", "operator": "like"}]},
        },
    )
    assert (reply.status, fields_of(reply)) == (
        422,
        [
            "rateLimit.max", "flowId", "conversation.channel", "conversation.contact", "conversation.text",
            "filter.rules[0].variable", "filter.rules[0].operator",
        ],
    )  # fmt: skip
    assert "did you mean `body`?" in reply.text
    assert "did you mean `message`?" in reply.text
    assert (await api.get("/webhooks/shop")).status == 404


async def test_an_unknown_node_is_named(api: Api) -> None:
    await prepare(api)
    assert await problems(api, nodeId="strat") == {
        "nodeId": "flow 'greeting' has no node 'strat': did you mean `start`?"
    }


async def test_force_stores_it_with_warnings(api: Api) -> None:
    """Not with errors of its own fields. A correct webhook has no warnings."""
    await prepare(api)
    document = {"flowId": "later", "conversation": RULE | {"channel": "later"}}
    forced = await api.put("/webhooks/shop?force=true", document)
    assert forced.status == 200
    assert [one["field"] for one in forced.data["warnings"]] == ["flowId", "conversation.channel"]
    assert "warnings" not in (await api.get("/webhooks/shop")).data
    assert "warnings" not in (await api.put("/webhooks/shop?force=true", {"flowId": "greeting"})).data
    wrong = await api.put("/webhooks/shop?force=true", document | {"rateLimit": {"max": 0}})
    assert (wrong.status, fields_of(wrong)[0]) == (422, "rateLimit.max")


@pytest.mark.parametrize(
    ("template", "suggested"),
    [
        ("{{ body.form }}", "`body.form`: did you mean `body.from`?"),
        ("{{ body.data.key.remoteJID }}", "`body.data.key.remoteJID`: did you mean `body.data.key.remoteJid`?"),
        ("{{ body.daat.key.remoteJid }}", "`body.daat.key.remoteJid`: did you mean `body.data.key.remoteJid`?"),
        ("{{ body.items[0].nmae }}", "`body.items[0].nmae`: did you mean `body.items[0].name`?"),
        ("+{{ headers.x-form }}", "`headers.x-form`: did you mean `headers.x-from`?"),
        ("{{ headers.X-From }}", "`headers.X-From`: did you mean `headers.x-from`?"),
        ("{{ queryParams.pgae | strip }}", "`queryParams.pgae`: did you mean `queryParams.page`?"),
    ],
)
async def test_a_likely_typo_is_named(api: Api, template: str, suggested: str) -> None:
    """The recorded events of the webhook have a similar field, and none has the one that the template names."""
    await prepare(api, {"from": "+55", "data": {"key": {"remoteJid": "1"}}, "items": [{"name": "a"}]})
    assert await problems(api, conversation=RULE | {"contact": template, "text": None}) == {
        "conversation.contact": suggested
    }


async def test_a_likely_typo_in_a_filter_is_named(api: Api) -> None:
    await prepare(api, {"from": "+55", "fromMe": True})
    typo = "`body.frmMe`: did you mean `body.fromMe`?"
    assert await problems(api, filter="body.frmMe != true") == {"filter.expression": typo}
    rules = {"rules": [{"variable": "{{ body.frmMe }}", "operator": "equals", "value": True}]}
    assert await problems(api, filter=rules) == {"filter.rules[0].variable": typo}


@pytest.mark.parametrize(
    "contact",
    [
        "{{ body.from }}",
        "{{ body.phone }}",
        "{{ body.form | default: body.from }}",
        "{% if body.form %}{{ body.form }}{% else %}{{ body.from }}{% endif %}",
        "{{ body.sender }}",
        "{{ body.items.size }}",
        "fixed",
    ],
)
async def test_what_may_be_right_is_accepted(api: Api, contact: str) -> None:
    """A field that one of the events has, a field without a similar one, and a template with an alternative."""
    await prepare(api, {"from": "+55", "text": "a", "items": []}, {"phone": "1", "phones": 2}, b"{nope", b"\xff")
    assert await problems(api, conversation=RULE | {"contact": contact}) == {}


async def test_without_events_names_of_fields_are_not_checked(api: Api) -> None:
    await prepare(api)
    assert await problems(api, conversation=RULE | {"contact": "{{ body.form }}"}) == {}


@pytest.mark.parametrize(
    ("wanted", "stored"),
    [
        ("body.a == 1", {"logic": "and", "rules": None, "expression": "body.a == 1"}),
        ({"expression": "message.kind == 'text'"}, None),
        ({"logic": "or", "rules": [{"variable": "{{ message.raw.x }}", "operator": "is-set"}]}, None),
        (None, None),
    ],
)
async def test_a_filter_is_stored(api: Api, wanted: Any, stored: Any) -> None:
    """A text is an expression. The answer of a GET can be the body of a PUT."""
    await prepare(api)
    reply = await api.put("/webhooks/shop", {"flowId": "greeting", "filter": wanted})
    assert reply.status == 200, reply.text
    shown = (await api.get("/webhooks/shop")).data
    if isinstance(wanted, str):
        assert shown["filter"]["expression"] == stored["expression"]
    assert (await api.put("/webhooks/shop", shown)).status == 200
    assert (await api.get("/webhooks/shop")).data["filter"] == shown["filter"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ("body.a ==", "filter.expression"),
        ("vars.a == 1", "filter.expression"),
        ({"expression": "message.txet == 'a'"}, "filter.expression"),
        ({}, "filter.rules"),
        ({"rules": []}, "filter.rules"),
        ({"rules": [{"variable": "body.a", "operator": "equals"}]}, "filter.rules[0].variable"),
        ({"rules": [{"variable": "{{ body.a }}", "operator": "matches", "value": "("}]}, "filter.rules[0].value"),
        ({"rules": [{"variable": "{{ body.a | nope }}", "operator": "is-set"}]}, "filter.rules[0].variable"),
        ({"rules": [{"variable": "{{ body.a }}", "operator": "is-set"}], "expression": "true"}, "filter.expression"),
        ({"colour": "red"}, "filter.colour"),
        (7, "filter"),
    ],
)
async def test_a_wrong_filter_is_named(api: Api, wrong: Any, field: str) -> None:
    await prepare(api)
    assert list(await problems(api, filter=wrong)) == [field]
