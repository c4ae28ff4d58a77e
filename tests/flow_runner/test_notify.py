"""`notify`: a notification to a recipient other than the contact."""

from typing import Any

import msgspec
import pytest

from filas.flows.publishing_checks import check
from tests.flow_runner.harness import Harness, chain, compiled_flow, flow, node, path, step

MAIL = {
    "channel": "mail",
    "to": "{{ webhook.body.boss }}",
    "subject": "Lead {{ webhook.body.n }}",
    "text": "Call {{ webhook.body.n }}",
}


def _body(**fields: Any) -> dict[str, Any]:
    return {"body": fields, "headers": {}, "queryParams": {}}


@pytest.mark.parametrize("conversation", [True, False])
async def test_it_is_recorded_for_the_notifier_with_or_without_a_conversation(conversation: bool) -> None:
    """It belongs to no conversation, so the contact's messages do not wait for it."""
    harness = Harness()
    start = {} if conversation else {"channel": None, "contact": None}
    row = await harness.run(chain(node("mail", "notify", **MAIL)), webhook=_body(boss="ana@shop.example", n=7), **start)
    [sent] = harness.rows.notifications.values()
    assert (sent.channel_id, sent.recipient, sent.conversation_id) == ("mail", "ana@shop.example", None)
    assert sent.payload == {"type": "text", "text": "Call 7", "subject": "Lead 7"}
    assert sent.idempotency_key == f"{row.id}:2"
    assert step(row, "mail").output == {"notificationId": str(sent.id), "channel": "mail", "to": "ana@shop.example"}


async def test_without_a_conversation_the_error_names_the_template_that_was_empty() -> None:
    """The trigger has it from the webhook's worker. The cause is in the webhook, not in the flow."""
    harness = Harness()
    for reason in (None, "the template of the webhook's conversation.contact, `{{ body.form }}`, is empty"):
        row = harness.rows.add(channel=None, contact=None, text=None)
        trigger = msgspec.json.decode(row.trigger) | ({} if reason is None else {"noConversation": reason})
        row.trigger = msgspec.json.encode(trigger).decode()
        await harness.finish(row, compiled_flow(chain(node("say", "message", text="oi"))))
        assert row.error is not None
        expected = "no channel: the execution has no conversation, and the node names none"
        assert row.error.message == (expected if reason is None else f"{expected} ({reason})")


async def test_an_e_mail_may_have_html_beside_its_text() -> None:
    """The author escapes values from outside with `escape`."""
    harness = Harness()
    html = "<p>Call <b>{{ webhook.body.n | escape }}</b></p>"
    await harness.run(chain(node("mail", "notify", html=html, **MAIL)), webhook=_body(boss="a@b.example", n="<i>"))
    [sent] = harness.rows.notifications.values()
    assert sent.payload["html"] == "<p>Call <b>&lt;i&gt;</b></p>"
    assert sent.payload["text"] == "Call <i>"


def test_the_templates_of_its_html_are_checked() -> None:
    problems = check(chain(node("mail", "notify", html="{{ unknown.name }}", **MAIL)))[1]
    assert [(problem.node_id, problem.field) for problem in problems] == [("mail", "html")]


@pytest.mark.parametrize(
    ("body", "message"),
    [({"boss": " ", "n": 1}, "no recipient"), ({"boss": "a\0b", "n": 1}, "NUL"), ({"n": 1}, "boss")],
)
@pytest.mark.parametrize("on_error", ["fail", "branch"])
async def test_without_a_recipient_it_fails_as_on_error_defines(
    body: dict[str, Any], message: str, on_error: str
) -> None:
    handle = " mail.error>end" if on_error == "branch" else ""
    definition = flow(
        node("mail", "notify", onError=on_error, **MAIL), node("end", "end"), edges=f"start>mail{handle} mail.out>end"
    )
    row = await Harness().run(definition, webhook=_body(**body))
    failed = step(row, "mail")
    assert failed.error is not None
    assert message in failed.error.message
    assert path(row)[2:] == (["end"] if on_error == "branch" else [])


async def test_an_empty_text_is_not_sent() -> None:
    row = await Harness().run(
        chain(node("mail", "notify", **MAIL | {"text": "{{ webhook.body.n }}"})), webhook=_body(boss="x", n="")
    )
    assert row.error is not None
    assert row.error.message == "the text is empty"


@pytest.mark.parametrize("field", ["channel", "to", "text"])
def test_publishing_reports_missing_fields(field: str) -> None:
    for data, message in (
        ({k: v for k, v in MAIL.items() if k != field}, "required"),
        (MAIL | {field: " "}, "is empty"),
    ):
        found = [(one.node_id, one.field, one.message) for one in check(chain(node("mail", "notify", **data)))[1]]
        assert any((one[0], one[1]) == ("mail", field) and message in one[2] for one in found), found
