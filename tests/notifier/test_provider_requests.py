"""What each provider is sent: the requests of its documentation, for every kind of content."""

import asyncio
import json
from base64 import b64decode
from typing import Any

import pytest
from aiohttp import web

from notifier.channels import provider_call
from notifier.channels.channel import Delivered, InvalidConfiguration, PermanentFailure, TemporaryFailure
from tests.notifier.providers import (
    BUTTONS,
    IMAGE,
    TAKEN,
    TEMPLATE,
    TEXT,
    channel,
    deliver,
    document,
    form,
    imitated_provider,
    message,
    responds,
)
from tests.notifier.receiver import never


async def sent(type_: str, content: dict[str, Any], **config: Any) -> Any:
    """The one request's document, after the provider took it."""
    result, (got,) = await deliver(type_, responds(200, TAKEN[type_]), content, **config)
    assert isinstance(result, Delivered), result
    return form(got) if type_ == "twilio" else document(got)


def buttons(count: int, title: str = "Sim", button_id: str = "y") -> dict[str, Any]:
    return {"type": "buttons", "text": "E agora?", "buttons": [{"id": button_id, "title": title}] * count}


# ---- whatsapp --------------------------------------------------------------------------------------


async def test_whatsapp_accepts_a_text_and_reports_later_whether_it_arrived() -> None:
    result, (got,) = await deliver("whatsapp", responds(200, TAKEN["whatsapp"]))
    assert result == Delivered(provider_id="wamid.HBg", confirmed=False, status_code=200)
    assert got.path == "/v23.0/1063/messages"
    assert got.headers["authorization"] == "Bearer planted-token"
    assert document(got) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "5511",
        "type": "text",
        "text": {"body": TEXT["text"], "preview_url": False},
        "biz_opaque_callback_data": "execution:5",
    }


@pytest.mark.parametrize(
    ("contact", "addresses", "sends_to"),
    [
        ({"input": "5511", "wa_id": "55119"}, ("55119",), "55119"),
        ({"input": "5511", "wa_id": "55119", "user_id": "BR.1"}, ("55119", "BR.1"), "55119"),
        ({"input": "5511", "user_id": "BR.1"}, ("BR.1",), None),
        ({"input": "5511", "wa_id": "5511", "user_id": "5511"}, (), None),
        ({"wa_id": 5, "user_id": "a\u0000"}, (), None),
        ({"wa_id": "1" * 300, "user_id": ""}, (), None),
        ("5511", (), None),
    ],
)
async def test_whatsapp_states_the_recipients_addresses(
    contact: Any, addresses: tuple[str, ...], sends_to: str | None
) -> None:
    result, _ = await deliver("whatsapp", responds(200, TAKEN["whatsapp"] | {"contacts": [contact]}))
    assert isinstance(result, Delivered)
    assert (result.addresses, result.sends_to) == (addresses, sends_to)


async def test_whatsapp_shows_few_buttons_as_buttons_and_more_as_a_list() -> None:
    few = (await sent("whatsapp", BUTTONS))["interactive"]
    assert few["type"] == "button"
    assert few["action"]["buttons"][1] == {"type": "reply", "reply": {"id": "n", "title": "Não"}}
    many = (await sent("whatsapp", buttons(10), listLabel="Opções"))["interactive"]
    assert (many["type"], many["action"]["button"]) == ("list", "Opções")
    assert many["action"]["sections"][0]["rows"][0] == {"id": "y", "title": "Sim"}
    longer = (await sent("whatsapp", buttons(2, "x" * 24)))["interactive"]
    assert longer["type"] == "list"


async def test_whatsapp_fetches_media_and_shows_captions_where_it_has_them() -> None:
    image = await sent("whatsapp", IMAGE)
    assert (image["type"], image["image"]) == ("image", {"link": "https://example.com/a.png", "caption": "A"})
    audio = await sent("whatsapp", IMAGE | {"kind": "audio"})
    assert audio["audio"] == {"link": "https://example.com/a.png"}


@pytest.mark.parametrize(
    ("parameters", "components"),
    [
        (None, None),
        (
            ["Maria", 3],
            [{"type": "body", "parameters": [{"type": "text", "text": "Maria"}, {"type": "text", "text": "3"}]}],
        ),
        (
            {"name": "Maria"},
            [{"type": "body", "parameters": [{"type": "text", "parameter_name": "name", "text": "Maria"}]}],
        ),
        ([{"type": "header", "parameters": []}], [{"type": "header", "parameters": []}]),
    ],
)
async def test_a_whatsapp_template_takes_its_parameters_in_every_form(parameters: Any, components: Any) -> None:
    template = (await sent("whatsapp", TEMPLATE | {"parameters": parameters}))["template"]
    expected = {"name": "welcome", "language": {"code": "pt_BR"}}
    assert template == (expected | {"components": components} if components else expected)


# ---- telegram --------------------------------------------------------------------------------------


async def test_telegram_takes_a_text() -> None:
    result, (got,) = await deliver("telegram", responds(200, TAKEN["telegram"]))
    assert result == Delivered(provider_id="5511:42", status_code=200)
    assert got.path == "/bot11020:planted-token/sendMessage"
    assert document(got) == {"chat_id": "5511", "text": TEXT["text"]}


async def test_telegram_shows_buttons_under_the_text_and_media_by_their_kind() -> None:
    keyboard = (await sent("telegram", BUTTONS))["reply_markup"]["inline_keyboard"]
    assert keyboard == [[{"text": "Sim", "callback_data": "y"}], [{"text": "Não", "callback_data": "n"}]]
    _, (got,) = await deliver("telegram", responds(200, TAKEN["telegram"]), IMAGE | {"kind": "document"})
    assert got.path.endswith("/sendDocument")
    assert document(got) == {"chat_id": "5511", "document": "https://example.com/a.png", "caption": "A"}


async def test_a_telegram_group_that_has_moved_is_followed() -> None:
    moved = {
        "ok": False,
        "error_code": 400,
        "description": "Bad Request: group chat was upgraded to a supergroup chat",
        "parameters": {"migrate_to_chat_id": -1009},
    }
    async with imitated_provider(responds(400, moved)) as (outside, outbound):
        behaviours = [responds(400, moved), responds(200, TAKEN["telegram"])]

        async def behave(request: Any) -> Any:
            return await behaviours.pop(0)(request)

        outside.behaviour = behave
        result = await channel(outbound, "telegram", outside.url).deliver(message(to="-55"))
    assert result == Delivered(provider_id="-1009:42", status_code=200)
    assert [document(got)["chat_id"] for got in outside.received] == ["-55", -1009]


async def test_both_calls_to_a_group_that_has_moved_share_one_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else they could take longer together than the job has."""
    moved = {"ok": False, "error_code": 400, "description": "moved", "parameters": {"migrate_to_chat_id": -1009}}
    monkeypatch.setattr(provider_call, "TIMEOUT_S", 2.0)
    calls = []

    async def behave(request: web.Request) -> web.StreamResponse:
        calls.append(asyncio.get_running_loop().time())
        if len(calls) > 1:
            return await never(request)
        await asyncio.sleep(1.4)  # the provider's own slowness
        return web.json_response(moved, status=400)

    result, _ = await deliver("telegram", behave, to="-55")
    ended = asyncio.get_running_loop().time()
    assert isinstance(result, TemporaryFailure)
    assert (result.kind, len(calls)) == ("timeout", 2)
    assert ended - calls[0] < 3.2


# ---- slack -----------------------------------------------------------------------------------------


async def test_slack_takes_a_text_by_its_web_api() -> None:
    result, (got,) = await deliver("slack", responds(200, TAKEN["slack"]), to="C1")
    assert result == Delivered(provider_id="C1:1503435956.000247", status_code=200)
    assert (got.path, got.headers["authorization"]) == ("/api/chat.postMessage", "Bearer xoxb-planted-token")
    assert document(got) == {"text": TEXT["text"], "channel": "C1"}


async def test_slack_takes_a_text_by_an_incoming_webhook() -> None:
    async with imitated_provider(responds(200, "ok")) as (outside, outbound):
        hook = channel(outbound, "slack", outside.url, botToken=None, webhookUrl=f"{outside.url}/services/T1/B1/x")
        assert await hook.deliver(message()) == Delivered(status_code=200)
    (got,) = outside.received
    assert (got.path, document(got)) == ("/services/T1/B1/x", {"text": TEXT["text"]})


async def test_slack_shows_buttons_and_images_as_blocks_and_other_media_as_links() -> None:
    blocks = (await sent("slack", BUTTONS))["blocks"]
    assert [block["type"] for block in blocks] == ["section", "actions"]
    assert blocks[1]["elements"][1]["value"] == "n"
    (image,) = (await sent("slack", IMAGE))["blocks"]
    assert (image["image_url"], image["alt_text"]) == ("https://example.com/a.png", "A")
    assert (await sent("slack", IMAGE | {"kind": "video"}))["text"] == "A\nhttps://example.com/a.png"


# ---- twilio ----------------------------------------------------------------------------------------


async def test_twilio_accepts_a_text_and_reports_later_whether_it_arrived() -> None:
    result, (got,) = await deliver(
        "twilio", responds(201, TAKEN["twilio"]), to="+5511", statusCallback="https://filas.example/cb"
    )
    assert result == Delivered(provider_id="SM1", confirmed=False, status_code=201)
    assert got.path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert b64decode(got.headers["authorization"].removeprefix("Basic ")) == b"AC1:planted-token"
    assert form(got) == {
        "To": "+5511",
        "From": "+15005550006",
        "StatusCallback": "https://filas.example/cb",
        "Body": TEXT["text"],
    }


async def test_twilio_sends_media_templates_and_numbered_choices() -> None:
    assert (await sent("twilio", IMAGE))["MediaUrl"] == "https://example.com/a.png"
    assert (await sent("twilio", BUTTONS))["Body"] == "E agora?\n1. Sim\n2. Não"
    template = await sent("twilio", TEMPLATE | {"name": "HX1"})
    assert (template["ContentSid"], template["ContentVariables"]) == ("HX1", '{"1":"Maria","2":"3"}')
    by_service = await sent("twilio", TEXT, messagingServiceSid="MG1", **{"from": None})
    assert by_service["MessagingServiceSid"] == "MG1"
    assert "From" not in by_service


# ---- all -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "content", "kind"),
    [
        ("whatsapp", {"type": "text", "text": "x" * 4097}, "too-long"),
        ("whatsapp", {"type": "text", "text": " "}, "invalid"),
        ("whatsapp", buttons(11), "too-long"),
        ("whatsapp", buttons(2, "x" * 25), "too-long"),
        ("whatsapp", buttons(4, "Sim", "x" * 201), "too-long"),
        ("whatsapp", IMAGE | {"caption": "x" * 1025}, "too-long"),
        ("whatsapp", IMAGE | {"kind": "hologram"}, "invalid"),
        ("whatsapp", {"type": "carousel"}, "unsupported"),
        ("whatsapp", TEMPLATE | {"name": None}, "invalid"),
        ("whatsapp", TEMPLATE | {"parameters": 5}, "invalid"),
        ("twilio", TEMPLATE | {"parameters": "Maria"}, "invalid"),
        ("telegram", {"type": "text", "text": "x" * 4097}, "too-long"),
        ("telegram", buttons(1, "Sim", "ã" * 33), "too-long"),
        ("telegram", TEMPLATE, "unsupported"),
        ("slack", buttons(26), "too-long"),
        ("slack", buttons(1, "x" * 76), "too-long"),
        ("slack", TEMPLATE, "unsupported"),
        ("twilio", {"type": "text", "text": "x" * 1601}, "too-long"),
        ("twilio", {"type": "buttons", "text": "x", "buttons": "none"}, "invalid"),
    ],
)
async def test_what_a_provider_would_refuse_is_refused_here(type_: str, content: dict[str, Any], kind: str) -> None:
    """By its documented limits, with the numbers, and without a call."""
    result, received = await deliver(type_, responds(200, TAKEN[type_]), content)
    assert isinstance(result, PermanentFailure)
    assert result.kind == kind
    assert received == []


@pytest.mark.parametrize(
    ("type_", "config"),
    [
        ("whatsapp", {"accessToken": None}),
        ("whatsapp", {"phoneNumberId": 5}),
        ("telegram", {"botToken": "planted/token"}),
        ("telegram", {"botToken": "planted token"}),
        ("slack", {"botToken": None, "webhookUrl": "https://[planted"}),
        ("slack", {"webhookUrl": "https://hooks.example/planted"}),
        ("slack", {"botToken": None}),
        ("twilio", {"messagingServiceSid": "MG1"}),
    ],
)
async def test_a_wrong_configuration_is_named_without_its_secret(type_: str, config: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfiguration) as wrong:
        await deliver(type_, responds(200, {}), **config)
    assert "planted" not in str(wrong.value)


@pytest.mark.parametrize("type_", TAKEN)
async def test_text_that_is_no_unicode_is_sent_as_far_as_it_is(type_: str) -> None:
    """A lone surrogate, as JSON may carry it, fails no message."""
    result, received = await deliver(type_, responds(200, TAKEN[type_]), {"type": "text", "text": "a\udcffb"})
    assert isinstance(result, Delivered)
    assert len(received) == 1


# ---- threads ---------------------------------------------------------------------------------------


async def test_slack_answers_in_the_thread_of_the_message() -> None:
    content = TEXT | {"thread": {"threadTs": "1.5", "other": "x"}}
    assert (await sent("slack", content))["thread_ts"] == "1.5"
    assert "thread_ts" not in await sent("slack", TEXT)


async def test_telegram_answers_in_the_topic_and_for_the_business_account_of_the_message() -> None:
    thread = {"messageThreadId": "3", "businessConnectionId": "B", "directMessagesTopicId": "9"}
    found = await sent("telegram", TEXT | {"thread": thread})
    names = ("message_thread_id", "business_connection_id", "direct_messages_topic_id")
    assert [found[name] for name in names] == [3, "B", 9]


@pytest.mark.parametrize("thread", [None, [], "text", {"messageThreadId": 3.5, "businessConnectionId": {"x": 1}}])
async def test_an_invalid_thread_is_ignored(thread: Any) -> None:
    assert await sent("telegram", TEXT | {"thread": thread}) == {"chat_id": "5511", "text": TEXT["text"]}


# ---- values of template parameters -----------------------------------------------------------------

VALUES = [True, 10.5, ["a", "b"], {"a": 1}, "Rua A\n  casa 2"]
WRITTEN = ["true", "10.5", '["a","b"]', '{"a":1}', "Rua A casa 2"]


async def test_whatsapp_and_twilio_get_parameters_as_templates_write_values() -> None:
    """Jobs of an older version have the values as they were."""
    parameters = (await sent("whatsapp", TEMPLATE | {"parameters": VALUES}))["template"]["components"][0]["parameters"]
    assert [one["text"] for one in parameters] == WRITTEN
    variables = (await sent("twilio", TEMPLATE | {"parameters": VALUES}))["ContentVariables"]
    assert json.loads(variables) == {str(number): text for number, text in enumerate(WRITTEN, 1)}


@pytest.mark.parametrize("type_", ["whatsapp", "twilio"])
async def test_an_empty_parameter_is_refused_without_a_call(type_: str) -> None:
    result, received = await deliver(type_, responds(200, TAKEN[type_]), TEMPLATE | {"parameters": {"n": None}})
    assert isinstance(result, PermanentFailure)
    assert (result.kind, received) == ("invalid", [])
    assert "`template.parameters.n` is null" in result.reason


# ---- lists, addresses behind buttons, markup -------------------------------------------------------

ROW = {"id": "m1", "title": "Básico", "description": "R$ 29"}
LIST: dict[str, Any] = {
    "type": "list",
    "text": "Escolha",
    "label": "Ver",
    "footer": "Fim",
    "header": "Planos",
    "sections": [{"title": "Mensal", "rows": [ROW]}, {"title": "Anual", "rows": [{"id": "a1", "title": "Pro"}]}],
}
LINK = {"type": "buttons", "text": "Pague", "buttons": [{"title": "Pagar", "url": "https://a.example/?a=1&b=2"}]}


async def test_whatsapp_shows_a_list_with_sections_and_descriptions() -> None:
    assert (await sent("whatsapp", LIST))["interactive"] == {
        "type": "list",
        "header": {"type": "text", "text": "Planos"},
        "body": {"text": "Escolha"},
        "footer": {"text": "Fim"},
        "action": {
            "button": "Ver",
            "sections": [
                {"title": "Mensal", "rows": [ROW]},
                {"title": "Anual", "rows": [{"id": "a1", "title": "Pro"}]},
            ],
        },
    }


async def test_slack_shows_a_list_as_a_menu() -> None:
    document = await sent("slack", LIST)
    header, section, actions = document["blocks"]
    assert header["text"] == {"type": "plain_text", "text": "Planos"}
    assert section["text"] == {"type": "mrkdwn", "text": "Escolha\nFim"}
    (menu,) = actions["elements"]
    assert (menu["type"], menu["placeholder"]["text"]) == ("static_select", "Ver")
    group = menu["option_groups"][0]
    assert (group["label"]["text"], group["options"][0]["value"]) == ("Mensal", "m1")
    assert group["options"][0]["description"]["text"] == "R$ 29"


async def test_telegram_and_twilio_show_a_list_in_their_own_form() -> None:
    found = await sent("telegram", LIST)
    assert found["reply_markup"]["inline_keyboard"] == [
        [{"text": "Básico", "callback_data": "m1"}],
        [{"text": "Pro", "callback_data": "a1"}],
    ]
    assert found["text"] == "Planos\nEscolha\nMensal\n1. Básico - R$ 29\nAnual\n2. Pro\nFim"
    lines = "Planos\nEscolha\nMensal\n1. Básico - R$ 29\nAnual\n2. Pro\nFim"
    assert (await sent("twilio", LIST))["Body"] == lines


async def test_a_button_opens_an_address() -> None:
    url = "https://a.example/?a=1&b=2"
    action = (await sent("whatsapp", LINK))["interactive"]
    assert (action["type"], action["action"]["name"]) == ("cta_url", "cta_url")
    assert action["action"]["parameters"] == {"display_text": "Pagar", "url": url}
    assert (await sent("telegram", LINK))["reply_markup"] == {"inline_keyboard": [[{"text": "Pagar", "url": url}]]}
    (button,) = (await sent("slack", LINK))["blocks"][1]["elements"]
    assert (button["url"], "value" in button) == (url, False)
    assert (await sent("twilio", LINK))["Body"] == f"Pague\nPagar: {url}"


@pytest.mark.parametrize("mode", ["HTML", "MarkdownV2", "Markdown"])
async def test_telegram_has_the_parse_mode_of_the_message(mode: str) -> None:
    assert (await sent("telegram", TEXT | {"parseMode": mode}))["parse_mode"] == mode
    assert (await sent("telegram", IMAGE | {"parseMode": mode}))["parse_mode"] == mode
    assert "parse_mode" not in await sent("telegram", TEXT)


async def test_a_parse_mode_that_is_no_text_is_ignored() -> None:
    assert "parse_mode" not in await sent("telegram", TEXT | {"parseMode": ["HTML"]})


async def test_lines_that_telegram_gets_instead_of_a_list_are_escaped_for_the_parse_mode() -> None:
    found = await sent("telegram", LIST | {"parseMode": "MarkdownV2", "header": None, "footer": None})
    assert "1\\. Básico \\- R$ 29" in found["text"]


async def test_no_address_of_a_file_notifies_a_channel_of_slack() -> None:
    video = {"type": "media", "kind": "video", "url": "https://a.example/<!channel>", "caption": "v"}
    assert (await sent("slack", video))["text"] == "v\nhttps://a.example/&lt;!channel&gt;"
