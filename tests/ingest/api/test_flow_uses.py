"""A flow that uses a flow, a channel or a secret which is not stored is rejected, unless it is forced or a draft."""

from typing import Any

import pytest

from tests.flow_runner.harness import chain, flow, node
from tests.ingest.api.serving import FLOW, Api

API = {"url": "https://a.example"}


def said(**settings: Any) -> dict[str, Any]:
    return chain(node("hi", "message", text="x"), settings=settings)


@pytest.mark.parametrize(
    ("definition", "node_id", "field", "code", "words"),
    [
        pytest.param(chain(node("s", "subflow", flowId="menu")), "s", "flowId", "unknown-flow",
                     "no flow 'menu' is stored: store it first", id="a subflow"),
        pytest.param(chain(node("s", "subflow", flowId="drafted")), "s", "flowId", "unknown-flow",
                     "no version of flow 'drafted' is published", id="a subflow that is not published"),
        pytest.param(chain(node("s", "subflow", flowId="greeting", version=7)), "s", "flowId", "unknown-flow",
                     "flow 'greeting' has no version 7", id="another version"),
        pytest.param(said(errorFlowId="menu"), None, "settings.errorFlowId", "unknown-flow", "no flow 'menu'",
                     id="an error flow"),
        pytest.param(chain(node("m", "message", text="x", channel="sales")), "m", "channel", "unknown-channel",
                     "no channel 'sales' is stored: store it first", id="the channel of a message"),
        pytest.param(chain(node("n", "notify", text="x", to="y", channel="sales")), "n", "channel", "unknown-channel",
                     "no channel 'sales'", id="the channel of a notification"),
        pytest.param(chain(node("n", "notify", text="x", to="y", channel="a\x00b")), "n", "channel", "unknown-channel",
                     "no channel 'a\\x00b'", id="a name that no column holds"),
        pytest.param(chain(node("a", "api", **API, headers={"X": "{{ secrets.other }}"})), "a", "headers.X",
                     "unknown-secret", "no secret 'other' is stored: store it first", id="a secret"),
        pytest.param(chain(node("a", "api", **API, headers={"X": "Bearer {{ secrets.crn_key }}"})), "a", "headers.X",
                     "unknown-secret", "did you mean `crm_key`?", id="a misspelt secret"),
        pytest.param(chain(node("a", "api", **API, body={"a": ["{{ secrets['crm'] | upcase }}"]})), "a", "body.a[0]",
                     "unknown-secret", "'crm'", id="a secret within JSON"),
        pytest.param(flow(node("c", "condition", expression="secrets.crm == 'x'"), edges="start>c"), "c", "expression",
                     "unknown-secret", "'crm'", id="a secret in CEL"),
        pytest.param(chain(node("w", "webhook", mode="send", url="https://a.example", secret="{{ secrets.s }}")), "w",
                     "secret", "unknown-secret", "'s'", id="the secret of an outgoing webhook"),
    ],
)  # fmt: skip
async def test_what_a_flow_uses_must_be_stored(
    api: Api, definition: dict[str, Any], node_id: str | None, field: str, code: str, words: str
) -> None:
    """`force` publishes it, and a draft is stored. Both have the finding as a warning."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/flows/drafted?publish=false", FLOW)
    await api.put("/secrets/crm_key", {"value": "x"})
    refused = await api.put("/flows/f", definition)
    assert refused.status == 422, refused.text
    (error,) = refused.json["errors"]
    assert (error.get("nodeId"), error["field"], error["code"]) == (node_id, field, code)
    assert words in error["message"]
    for query, published in (("publish=false", False), ("force=true", True)):
        stored = await api.put(f"/flows/f?{query}", definition)
        assert (stored.status, stored.data["published"]) == (200, published), stored.text
        assert stored.data["warnings"] == [error]


async def test_what_is_stored_is_accepted(api: Api) -> None:
    """A flow may run itself. A template's name is known only in a run."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/flows/greeting", FLOW | {"name": "Two"})
    await api.put("/channels/sales", {"type": "console"})
    await api.put("/secrets/crm", {"value": "x"})
    definition = chain(
        node("m", "message", text="x", channel="sales"),
        node("o", "message", text="x", channel="{{ vars.c }}"),
        node("a", "api", **API, headers={"X": "{{ secrets.crm }}"}),
        node("s", "subflow", flowId="greeting"),
        node("t", "subflow", flowId="greeting", version=1),
        node("u", "subflow", flowId="f"),
        settings={"errorFlowId": "greeting"},
        variables=[{"name": "c", "default": "sales"}],
    )
    stored = await api.put("/flows/f", definition)
    assert (stored.status, stored.json.get("errors")) == (200, None)
    assert stored.data["warnings"] == []


async def test_every_use_is_reported_once_with_the_errors_of_the_checks(api: Api) -> None:
    """Those of the graph prevent the look-up; two uses of one secret are two findings."""
    definition = chain(
        node("a", "api", **API, headers={"X": "{{ secrets.k }}"}),
        node("b", "api", **API, headers={"X": "{{ secrets.k }}{{ secrets.k }}"}),
        node("m", "message", text="x", channel="sales"),
    )
    refused = await api.put("/flows/f", definition)
    found = [(one["nodeId"], one["code"]) for one in refused.json["errors"]]
    assert found == [("a", "unknown-secret"), ("b", "unknown-secret"), ("m", "unknown-channel")]
