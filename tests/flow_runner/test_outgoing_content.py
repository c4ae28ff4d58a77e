"""What nodes send: within the limits of the channel, in order, and without markup from outside."""

from typing import Any

import pytest

from filas.contract.identity import notification_id, notification_id_of_key
from filas.contract.jobs import GivenAnswer
from filas.models.executions import NewNotification
from flow_runner.flow_test.flow_test_run import FlowTest
from tests.flow_runner.harness import Harness, KnownChannels, KnownFlows, KnownSecrets, chain, compiled_flow, node
from tests.flow_runner.memory import Row
from tests.flow_runner.test_flow_test import job
from tests.flow_runner.test_random_graphs import Trial

LONG = " ".join(f"Esta e a frase de numero {number:05d}." for number in range(300))
VALUES = {"x": "<!channel> & *Ana* _b_", "html": "<img src=x onerror=\"alert('x')\">", "path": "../a?b=1", "none": None}


async def run(
    *nodes: dict[str, Any], channel_type: str, to: str = "5511", **start: Any
) -> tuple[Row, list[NewNotification]]:
    """Runs a flow in a conversation over the channel `c` of this type. Returns its notifications in order."""
    harness = Harness()
    harness.channels.types["c"] = channel_type
    webhook = {"body": VALUES, "headers": {}, "queryParams": {}}
    variables = [{"name": name, "default": value} for name, value in VALUES.items() if value]
    row = await harness.run(
        chain(*nodes, variables=variables), webhook=webhook, **{"channel": "c", "contact": to, **start}
    )
    return row, list(harness.rows.notifications.values())


@pytest.mark.parametrize(
    ("channel_type", "parts"),
    [("whatsapp", 3), ("telegram", 3), ("twilio", 6), ("slack", 1), ("email", 1), ("http", 1)],
)
async def test_a_long_text_is_sent_as_several_messages_in_order(channel_type: str, parts: int) -> None:
    row, sent = await run(node("m", "message", text=LONG), channel_type=channel_type)
    assert (row.status, len(sent)) == ("succeeded", parts)
    assert " ".join(one.payload["text"] for one in sent) == LONG
    assert all(one.payload["text"].endswith(".") for one in sent)


async def test_every_part_has_its_own_id_and_key() -> None:
    """The keys are the same in each attempt, so none is sent twice after a crash."""
    row, sent = await run(node("m", "message", text=LONG), channel_type="whatsapp")
    assert [one.idempotency_key for one in sent] == [f"{row.id}:2:101", f"{row.id}:2:201", f"{row.id}:2"]
    assert [one.id for one in sent] == [notification_id(row.id, 2, part) for part in (101, 201, 1)]
    assert [notification_id_of_key(one.idempotency_key) for one in sent] == [one.id for one in sent]


async def test_the_last_part_is_the_one_that_the_node_waits_for() -> None:
    message = node("m", "message", text=LONG, **{"await": "sent"})
    harness = Harness()
    harness.channels.types["demo"] = "whatsapp"
    await harness.run(chain(message))
    sent = list(harness.rows.notifications.values())
    assert [one.awaits for one in sent] == [None, None, "sent"]


async def test_notify_and_input_are_split_too() -> None:
    ask = node("ask", "input", prompt=LONG, kind="choice", choices=[{"id": "y", "title": "Sim"}], timeoutMs=1000)
    note = node("n", "notify", channel="c", to="5511", subject="Lead", text=LONG)
    harness = Harness()
    harness.channels.types["demo"] = harness.channels.types["c"] = "telegram"
    await harness.run(chain(note, ask))
    payloads = [one.payload for one in harness.rows.notifications.values()]
    assert [one["type"] for one in payloads] == ["text"] * 5 + ["buttons"]
    assert payloads[0]["text"].startswith("Lead\nEsta e")
    assert " ".join(one["text"] for one in payloads[3:]) == LONG


CHOICES = [{"id": f"c{number}", "title": f"Opção {number}"} for number in range(11)]
BEYOND: list[tuple[str, dict[str, Any], str]] = [
    ("whatsapp", {"text": "?", "buttons": CHOICES}, "`buttons`: 11 buttons; the limit of WhatsApp is 10"),
    ("whatsapp", {"text": "?", "buttons": [{"id": "a", "title": "t" * 25}]}, "the limit of WhatsApp is 24"),
    (
        "telegram",
        {"text": "?", "buttons": [{"id": "ã" * 33, "title": "t"}]},
        "66 bytes; the limit of Telegram is 64",
    ),
    ("slack", {"text": "?", "buttons": [{"id": "a", "title": "t" * 76}]}, "the limit of Slack is 75"),
    ("telegram", {"template": {"name": "x"}}, "Telegram has no approved templates"),
]


@pytest.mark.parametrize(("channel_type", "data", "message"), BEYOND)
async def test_a_content_beyond_a_limit_fails_its_node_with_the_limit(
    channel_type: str, data: dict[str, Any], message: str
) -> None:
    row, sent = await run(node("m", "message", **data), channel_type=channel_type)
    assert (row.status, sent) == ("failed", [])
    assert row.error is not None
    assert message in row.error.message
    assert row.error.kind in ("too-long", "unsupported")


@pytest.mark.parametrize(("channel_type", "data", "message"), BEYOND)
async def test_a_test_run_reports_the_limit(channel_type: str, data: dict[str, Any], message: str) -> None:
    channels = KnownChannels()
    channels.types["c"] = channel_type
    asked = job(chain(node("m", "message", **data)), channel="c", contact="5511")
    result = await FlowTest(asked, KnownSecrets(), KnownFlows(), channels).run()
    assert result.status == "failed"
    assert result.error is not None
    assert message in result.error.message


@pytest.mark.parametrize("answers", [{}, {"m": [GivenAnswer()]}])
async def test_a_test_run_fails_the_message_of_a_channel_that_is_not_stored(
    answers: dict[str, list[GivenAnswer]],
) -> None:
    """As a real execution does. An answer that the test gives to the node comes first."""
    asked = job(chain(node("m", "message", text="oi")), channel="gone", contact="5511", answers=answers)
    result = await FlowTest(asked, KnownSecrets(), KnownFlows(), KnownChannels()).run()
    (call,) = result.calls
    if answers:
        assert (call.delivery, result.undelivered) == ("sent", 0)
    else:
        assert (call.delivery, call.delivery_error, result.undelivered) == ("failed", "there is no channel 'gone'", 1)


async def test_an_input_with_too_many_choices_fails() -> None:
    row, _ = await run(node("ask", "input", prompt="?", kind="choice", choices=CHOICES), channel_type="whatsapp")
    assert row.error is not None
    assert "11 buttons; the limit of WhatsApp is 10" in row.error.message


async def test_a_channel_that_is_not_stored_has_the_type_that_its_id_names() -> None:
    harness = Harness()
    row = await harness.run(chain(node("m", "message", text="?", buttons=CHOICES)), channel="whatsapp")
    assert row.error is not None
    assert "11 buttons" in row.error.message


Z = "\u200b"
RAW = VALUES["x"]
SLACK = "&lt;!channel&gt; &amp; *Ana* _b_"
WHATSAPP = f"<!channel> & {Z}*{Z}Ana{Z}*{Z} {Z}_{Z}b{Z}_{Z}"
MARKDOWN = "<\\!channel\\> & \\*Ana\\* \\_b\\_"
X = "{{ vars.x }}"
IMAGE = {"kind": "image", "url": "https://a/{{ vars.path }}.png", "caption": X}


@pytest.mark.parametrize(
    ("channel_type", "to", "data", "payload"),
    [
        ("slack", "U1", {"text": f"<!here> *Lead* {X}"}, {"text": f"<!here> *Lead* {SLACK}"}),
        ("slack", "U1", {"text": X}, {"text": SLACK}),
        ("slack", "U1", {"text": "{{ vars.x | raw }}"}, {"text": RAW}),
        ("slack", "U1", {"text": "Oi {{ vars.x | raw }}"}, {"text": f"Oi {RAW}"}),
        ("slack", "U1", {"text": "{% assign y = vars.x %}{{ y }}"}, {"text": SLACK}),
        ("slack", "U1", {"media": IMAGE}, {"caption": SLACK}),
        ("whatsapp", "5511", {"text": f"*Oi* {X}"}, {"text": f"*Oi* {WHATSAPP}"}),
        ("twilio", "whatsapp:+5511", {"text": f"*Oi* {X}"}, {"text": f"*Oi* {WHATSAPP}"}),
        ("twilio", "+5511", {"text": f"*Oi* {X}"}, {"text": f"*Oi* {RAW}"}),
        ("telegram", "5511", {"text": X}, {"text": RAW}),
        ("telegram", "5511", {"text": f"<b>{X}</b>", "parseMode": "HTML"}, {"text": f"<b>{SLACK}</b>"}),
        ("telegram", "5511", {"text": f"*{X}*", "parseMode": "MarkdownV2"}, {"text": f"*{MARKDOWN}*"}),
        ("whatsapp", "5511", {"media": IMAGE}, {"url": "https://a/..%2Fa%3Fb%3D1.png", "caption": WHATSAPP}),
        ("whatsapp", "5511", {"template": {"name": "t", "parameters": [X]}}, {"parameters": [WHATSAPP]}),
        (
            "whatsapp",
            "5511",
            {"text": "?", "buttons": [{"id": X, "title": "*b*"}]},
            {"buttons": [{"id": RAW, "title": "*b*"}]},
        ),
        ("http", "x", {"text": X}, {"text": RAW}),
        ("console", "x", {"text": X}, {"text": RAW}),
    ],
)
async def test_values_are_escaped_for_the_channel_and_the_text_of_the_author_is_not(
    channel_type: str, to: str, data: dict[str, Any], payload: dict[str, Any]
) -> None:
    _, [sent] = await run(node("m", "message", **data), channel_type=channel_type, to=to)
    assert {name: sent.payload[name] for name in payload} == payload


async def test_notify_escapes_the_text_for_slack_and_the_html_of_an_e_mail() -> None:
    note = node("n", "notify", channel="c", to="#ops", text="Lead {{ vars.x }}", subject="{{ vars.x }}")
    _, [sent] = await run(note, channel_type="slack")
    assert sent.payload["text"] == f"Lead {SLACK}"
    assert sent.payload["subject"] == SLACK
    html = "<p>{{ webhook.body.html }}</p><p>{{ webhook.body.html | escape }}</p><p>{{ '<b>x</b>' | raw }}</p>"
    mail = node("n", "notify", channel="c", to="a@b.example", text="{{ webhook.body.html }}", html=html)
    _, [sent] = await run(mail, channel_type="email")
    once = "&lt;img src=x onerror=&quot;alert(&#39;x&#39;)&quot;&gt;"
    assert sent.payload["html"].replace("&#x27;", "&#39;") == f"<p>{once}</p><p>{once}</p><p><b>x</b></p>"
    assert sent.payload["text"] == VALUES["html"]


async def test_a_question_is_escaped_too() -> None:
    ask = node("ask", "input", prompt="Oi {{ vars.x }}?", timeoutMs=1000)
    _, [sent] = await run(ask, channel_type="slack", to="U1")
    assert sent.payload["text"] == f"Oi {SLACK}?"


async def test_several_media_are_sent_one_after_the_other() -> None:
    media = [{"kind": "image", "url": f"https://a/{number}.png"} for number in range(3)]
    row, sent = await run(node("m", "message", media=media), channel_type="whatsapp")
    assert [one.payload["url"] for one in sent] == [one["url"] for one in media]
    assert [one.idempotency_key.count(":") for one in sent] == [2, 2, 1]
    assert row.status == "succeeded"


async def test_a_list_has_sections_and_descriptions() -> None:
    rows = [{"id": "{{ vars.path }}", "title": "Plano A", "description": "R$ 10"}]
    data = {"text": "Escolha", "sections": [{"title": "Planos", "rows": rows}], "listLabel": "Ver", "footer": "Fim"}
    _, [sent] = await run(node("m", "message", **data), channel_type="whatsapp")
    assert sent.payload == {
        "type": "list",
        "text": "Escolha",
        "footer": "Fim",
        "label": "Ver",
        "sections": [{"title": "Planos", "rows": [{"id": "../a?b=1", "title": "Plano A", "description": "R$ 10"}]}],
    }


async def test_a_button_may_open_an_address() -> None:
    url = "https://loja.example/p?id={{ vars.path }}"
    _, [sent] = await run(
        node("m", "message", text="Pague", buttons=[{"title": "Pagar", "url": url}]), channel_type="whatsapp"
    )
    assert sent.payload["buttons"] == [{"title": "Pagar", "url": "https://loja.example/p?id=..%2Fa%3Fb%3D1"}]


async def test_a_node_may_name_the_thread() -> None:
    _, [sent] = await run(node("m", "message", text="x", thread={"threadTs": "1.{{ 5 }}"}), channel_type="slack")
    assert sent.payload["thread"] == {"threadTs": "1.5"}


@pytest.mark.parametrize("deadly", range(8))
async def test_no_part_is_lost_or_doubled_wherever_the_worker_is_killed(deadly: int) -> None:
    """All parts of a text are written in one transaction, with keys that are the same in each attempt."""
    messages = node("m", "message", text=LONG), node("n", "message", text=LONG + " Fim.")
    trial = Trial(compiled_flow(chain(*messages)), compiled_flow(chain(messages[0])), [False] * deadly + [True], [], [])
    trial.harness.channels.types["demo"] = "whatsapp"
    await trial.run()
    sent = [one.payload["text"] for one in trial.harness.rows.notifications.values()]
    assert " ".join(sent) == f"{LONG} {LONG} Fim."
    assert len(sent) == 6


async def test_an_e_mail_has_copies_and_attachments() -> None:
    data = {
        "channel": "c",
        "to": "{{ vars.list }}",
        "text": "x",
        "cc": "{{ vars.list }}",
        "bcc": ["{{ webhook.body.path }}@b.example"],
        "replyTo": "r@b.example",
        "attachments": [{"url": "https://a/{{ webhook.body.path }}", "name": "nota {{ 5 }}.pdf"}],
    }
    harness = Harness()
    harness.channels.types["c"] = "email"
    definition = chain(
        node("n", "notify", **data), variables=[{"name": "list", "default": ["a@b.example", "c@d.example"]}]
    )
    await harness.run(definition, webhook={"body": VALUES, "headers": {}, "queryParams": {}})
    [sent] = harness.rows.notifications.values()
    assert sent.recipient == "a@b.example, c@d.example"
    assert sent.payload["cc"] == ["a@b.example", "c@d.example"]
    assert sent.payload["bcc"] == ["../a?b=1@b.example"]
    assert sent.payload["replyTo"] == "r@b.example"
    assert sent.payload["attachments"] == [{"url": "https://a/..%2Fa%3Fb%3D1", "name": "nota 5.pdf"}]


async def test_only_e_mail_has_attachments() -> None:
    note = node("n", "notify", channel="c", to="#ops", text="x", attachments=[{"url": "https://a/b.pdf"}])
    row, sent = await run(note, channel_type="slack")
    assert (row.status, sent) == ("failed", [])
    assert row.error is not None
    assert "Slack has no `attachments`" in row.error.message
