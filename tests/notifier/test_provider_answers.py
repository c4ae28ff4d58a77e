"""The documented responses of each provider, and the result of the message."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from filas.outbound.client import OutboundClient
from notifier.channels import provider_call
from notifier.channels.channel import Delivered, PermanentFailure, Result, TemporaryFailure
from tests.notifier.providers import CONFIGS, HOME, TAKEN, channel, deliver, imitated_provider, message, responds
from tests.notifier.receiver import Behaviour, Flood, answer, never, raw_receiver, receiver, reset

PROVIDERS = tuple(TAKEN)


def whatsapp(code: int, details: str = "details") -> dict[str, Any]:
    return {
        "error": {
            "message": f"(#{code}) title",
            "type": "OAuthException",
            "code": code,
            "error_data": {"messaging_product": "whatsapp", "details": details},
            "fbtrace_id": "A",
        }
    }


def telegram(code: int, description: str = "words", **parameters: int) -> dict[str, Any]:
    refusal: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    return refusal | ({"parameters": parameters} if parameters else {})


def slack(word: str) -> dict[str, Any]:
    return {"ok": False, "error": word}


def twilio(code: int, status: int) -> dict[str, Any]:
    return {
        "code": code,
        "message": "words",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }


BUSY: list[tuple[str, int, object, dict[str, str], str, float | None]] = [
    ("whatsapp", 400, whatsapp(130429), {}, "channel", None),
    ("whatsapp", 400, whatsapp(80007), {"Retry-After": "30"}, "channel", 30.0),
    ("whatsapp", 429, whatsapp(4), {"Retry-After": "7"}, "channel", 7.0),
    ("whatsapp", 400, whatsapp(131048), {}, "channel", None),
    ("whatsapp", 500, whatsapp(131016), {}, "channel", None),
    ("whatsapp", 503, whatsapp(2), {}, "channel", None),
    ("whatsapp", 400, whatsapp(131056), {}, "recipient", 6.0),
    ("whatsapp", 429, "<html>", {"Retry-After": "9"}, "channel", 9.0),
    ("telegram", 429, telegram(429, "Too Many Requests", retry_after=5), {}, "channel", 5.0),
    ("telegram", 429, "", {"Retry-After": "3"}, "channel", 3.0),
    ("slack", 429, slack("ratelimited"), {"Retry-After": "30"}, "channel", 30.0),
    ("slack", 200, slack("rate_limited"), {"Retry-After": "4"}, "channel", 4.0),
    ("slack", 503, "", {}, "channel", None),
    ("slack", 200, slack("message_limit_exceeded"), {}, "channel", None),
    ("twilio", 429, twilio(20429, 429), {"Retry-After": "2"}, "channel", 2.0),
    ("twilio", 400, twilio(21611, 400), {}, "channel", None),
    ("twilio", 429, twilio(63038, 429), {}, "channel", None),
    ("twilio", 400, twilio(63017, 400), {}, "channel", None),
    ("twilio", 503, "", {"Retry-After": "8"}, "channel", 8.0),
    ("telegram", 429, telegram(429, retry_after=-5), {"Retry-After": "3"}, "channel", 0.0),
    ("telegram", 429, telegram(429, retry_after=86400), {}, "channel", 3600.0),
]


@pytest.mark.parametrize(("type_", "status", "document", "headers", "wait_for", "after_s"), BUSY)
async def test_a_busy_provider_is_waited_for_as_it_asks(
    type_: str, status: int, document: object, headers: dict[str, str], wait_for: str, after_s: float | None
) -> None:
    result, _ = await deliver(type_, responds(status, document, headers))
    assert isinstance(result, TemporaryFailure)
    assert (result.wait_for, result.after_s, result.status_code) == (wait_for, after_s, status)
    assert not result.uncertain


async def test_the_limit_of_one_telegram_group_makes_no_other_chat_wait() -> None:
    result, _ = await deliver("telegram", responds(429, telegram(429, retry_after=40)), to="-100123")
    assert isinstance(result, TemporaryFailure)
    assert (result.wait_for, result.after_s) == ("recipient", 40.0)


@pytest.mark.parametrize(
    ("type_", "status", "document"),
    [
        ("whatsapp", 500, whatsapp(131000)),
        ("whatsapp", 500, whatsapp(1)),
        ("whatsapp", 502, "Bad Gateway"),
        ("telegram", 500, telegram(500, "Internal Server Error")),
        ("telegram", 502, "<html>"),
        ("whatsapp", 400, {"error": {"code": 999999, "message": "m", "is_transient": True}}),
        ("slack", 200, slack("request_timeout")),
        ("slack", 500, ""),
        ("twilio", 500, twilio(20500, 500)),
        ("twilio", 502, "Bad Gateway"),
    ],
)
async def test_a_fault_of_the_provider_is_tried_again(type_: str, status: int, document: object) -> None:
    result, _ = await deliver(type_, responds(status, document))
    assert isinstance(result, TemporaryFailure)
    assert (result.wait_for, result.uncertain) == ("none", False)


@pytest.mark.parametrize("type_", [*PROVIDERS, "http"])
async def test_a_busy_answer_may_name_a_date(type_: str) -> None:
    """The other form of `Retry-After`, for every provider alike."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    async with imitated_provider(responds(503, "", {"Retry-After": date})) as (outside, outbound):
        result = await channel(outbound, type_, outside.url).deliver(message())
    assert isinstance(result, TemporaryFailure)
    assert result.wait_for == "channel"
    assert result.after_s is not None
    assert 45 < result.after_s <= 90


@pytest.mark.parametrize("type_", PROVIDERS)
@pytest.mark.parametrize("before", ["\ufeff", " \r\n"])
async def test_an_answer_may_begin_with_a_byte_order_mark(type_: str, before: str) -> None:
    """Before, the message counted as one that may have been sent, and was sent twice."""
    result, _ = await deliver(type_, responds(200, before + json.dumps(TAKEN[type_])))
    assert isinstance(result, Delivered)


@pytest.mark.parametrize("word", ["internal_error", "fatal_error"])
async def test_slack_may_have_posted_what_ended_in_an_error_of_its_own(word: str) -> None:
    """Its documentation states that for these two errors."""
    result, _ = await deliver("slack", responds(200, slack(word)))
    assert isinstance(result, TemporaryFailure)
    assert (result.wait_for, result.uncertain) == ("none", True)


async def test_a_slack_webhook_that_is_busy_is_waited_for() -> None:
    async with imitated_provider(responds(429, "rate_limited", {"Retry-After": "30"})) as (outside, outbound):
        hook = channel(outbound, "slack", outside.url, botToken=None, webhookUrl=f"{outside.url}/services/planted")
        result = await hook.deliver(message())
    assert isinstance(result, TemporaryFailure)
    assert (result.wait_for, result.after_s) == ("channel", 30.0)


@pytest.mark.parametrize(
    ("type_", "status", "document", "kind"),
    [
        ("whatsapp", 401, whatsapp(190), "credentials"),
        ("whatsapp", 401, whatsapp(0), "credentials"),
        ("whatsapp", 403, whatsapp(10), "credentials"),
        ("whatsapp", 403, whatsapp(200), "credentials"),
        ("whatsapp", 500, whatsapp(3), "credentials"),
        ("whatsapp", 400, whatsapp(131026), "recipient"),
        ("whatsapp", 400, whatsapp(131030), "recipient"),
        ("whatsapp", 400, whatsapp(131047), "window-closed"),
        ("whatsapp", 404, whatsapp(132001), "template"),
        ("whatsapp", 400, whatsapp(131049), "policy"),
        ("whatsapp", 403, whatsapp(368), "policy"),
        ("whatsapp", 400, whatsapp(131053), "media"),
        ("whatsapp", 400, whatsapp(131050), "recipient"),
        ("whatsapp", 400, whatsapp(133010), "credentials"),
        ("whatsapp", 400, whatsapp(33), "credentials"),
        ("whatsapp", 403, whatsapp(130497), "policy"),
        ("whatsapp", 400, whatsapp(132000), "template"),
        ("whatsapp", 400, whatsapp(132015), "template"),
        ("whatsapp", 400, whatsapp(132068), "template"),
        ("whatsapp", 400, whatsapp(100), "rejected"),
        ("whatsapp", 400, whatsapp(131009), "rejected"),
        ("whatsapp", 302, "", "http-status"),
        ("telegram", 401, telegram(401, "Unauthorized"), "credentials"),
        ("telegram", 404, telegram(404, "Not Found"), "credentials"),
        ("telegram", 403, telegram(403, "Forbidden: bot was blocked by the user"), "recipient"),
        ("telegram", 400, telegram(400, "Bad Request: chat not found"), "recipient"),
        ("telegram", 400, telegram(400, "Bad Request: PEER_ID_INVALID"), "recipient"),
        ("telegram", 400, telegram(400, "Bad Request: not enough rights to send text messages"), "recipient"),
        ("telegram", 400, telegram(400, "Bad Request: can't parse entities"), "rejected"),
        ("telegram", 413, telegram(413, "Request Entity Too Large"), "rejected"),
        ("slack", 200, slack("invalid_auth"), "credentials"),
        ("slack", 200, slack("missing_scope"), "credentials"),
        ("slack", 200, slack("accesslimited"), "credentials"),
        ("slack", 200, slack("channel_not_found"), "recipient"),
        ("slack", 200, slack("restricted_action_read_only_channel"), "recipient"),
        ("slack", 200, slack("is_archived"), "recipient"),
        ("slack", 200, slack("msg_too_long"), "rejected"),
        ("slack", 200, slack("a_word_of_next_year"), "rejected"),
        ("twilio", 401, twilio(20003, 401), "credentials"),
        ("twilio", 400, twilio(21606, 400), "credentials"),
        ("twilio", 400, twilio(21660, 400), "credentials"),
        ("twilio", 400, twilio(21211, 400), "recipient"),
        ("twilio", 400, twilio(21635, 400), "recipient"),
        ("twilio", 400, twilio(21610, 400), "recipient"),
        ("twilio", 400, twilio(21617, 400), "rejected"),
        ("twilio", 404, "", "http-status"),
    ],
)
async def test_what_the_provider_refuses_is_given_up_with_its_reason(
    type_: str, status: int, document: object, kind: str
) -> None:
    """And the reason has the provider's own word or number in it."""
    result, received = await deliver(type_, responds(status, document))
    assert isinstance(result, PermanentFailure), result
    assert (result.kind, result.status_code) == (kind, status)
    assert len(received) == 1
    if isinstance(document, dict):
        error = document.get("error")
        words = str(
            error["code"] if isinstance(error, dict) else error or document.get("error_code", document.get("code"))
        )
        assert words in result.reason


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [(403, "action_prohibited", "recipient"), (404, "no_service", "credentials"), (400, "invalid_payload", "rejected")],
)
async def test_a_webhook_of_slack_refuses_with_a_word(status: int, word: str, kind: str) -> None:
    async with imitated_provider(responds(status, word)) as (outside, outbound):
        hook = channel(outbound, "slack", outside.url, botToken=None, webhookUrl=f"{outside.url}/services/planted")
        result = await hook.deliver(message())
    assert isinstance(result, PermanentFailure)
    assert (result.kind, word in result.reason) == (kind, True)


@pytest.mark.parametrize("type_", PROVIDERS)
@pytest.mark.parametrize(
    "body", ["", "<html>a proxy's page</html>", "[]", "null", "{}", '{"messages":[],"ok":1}', "{" * 5000]
)
async def test_a_success_that_is_not_the_providers_is_uncertain(type_: str, body: str) -> None:
    result, _ = await deliver(type_, responds(200, body))
    assert isinstance(result, TemporaryFailure)
    assert (result.kind, result.uncertain) == ("malformed-answer", True)


@pytest.mark.parametrize("type_", PROVIDERS)
@pytest.mark.parametrize(("behaviour", "kind"), [(never, "timeout"), (reset, "communication")])
async def test_a_provider_that_never_answers_leaves_it_uncertain(
    monkeypatch: pytest.MonkeyPatch, type_: str, behaviour: Behaviour, kind: str
) -> None:
    monkeypatch.setattr(provider_call, "TIMEOUT_S", 0.3)
    result, _ = await deliver(type_, behaviour)
    assert isinstance(result, TemporaryFailure)
    assert (result.kind, result.uncertain, result.wait_for) == (kind, True, "none")


@pytest.mark.parametrize("type_", [*PROVIDERS, "http", "slack webhook"])
@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"ok":true,',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde",
        b"",
    ],
    ids=["no http", "cut", "no chunk", "no gzip", "nothing"],
)
async def test_an_answer_that_is_broken_leaves_it_uncertain_and_its_reason_holds_no_secret(
    type_: str, said: bytes
) -> None:
    """Not in the address either, where Telegram and Slack's webhooks have theirs."""
    async with raw_receiver(said) as url, OutboundClient(HOME) as outbound:
        if type_ == "slack webhook":
            hook = f"{url.replace('127.0.0.1', 'LOCALHOST')}/services/planted token"
            broken = channel(outbound, "slack", url, botToken=None, webhookUrl=hook)
        else:
            broken = channel(outbound, type_, f"{url}/planted" if type_ == "http" else url)
        result = await broken.deliver(message())
    assert isinstance(result, TemporaryFailure), result
    assert (result.kind, result.uncertain, result.wait_for) == ("communication", True, "none")
    assert "planted" not in result.reason


@pytest.mark.parametrize("type_", PROVIDERS)
async def test_a_provider_that_is_not_there_has_certainly_not_got_it(type_: str) -> None:
    async with imitated_provider(answer(200)) as (outside, outbound):
        url = outside.url
        async with receiver(answer(200)) as gone:
            unreachable = gone.url
        result = await channel(outbound, type_, unreachable).deliver(message())
    assert url != unreachable
    assert isinstance(result, TemporaryFailure)
    assert (result.kind, result.uncertain) == ("communication", False)


@pytest.mark.parametrize("type_", [*PROVIDERS, "http"])
async def test_a_base_address_inside_is_refused(type_: str) -> None:
    """Whatever the channel: its calls go through the guard, and nothing arrives."""
    async with receiver(answer(200)) as inside, OutboundClient() as guarded:
        result = await channel(guarded, type_, inside.url).deliver(message())
    assert isinstance(result, PermanentFailure)
    assert (result.kind, inside.received) == ("refused", [])


@pytest.mark.parametrize("type_", PROVIDERS)
async def test_a_gigabyte_is_not_read(type_: str) -> None:
    flood = Flood()
    result, _ = await deliver(type_, flood)
    assert isinstance(result, TemporaryFailure)
    assert result.kind == "malformed-answer"
    assert flood.pieces < flood.PIECES


@pytest.mark.parametrize("type_", PROVIDERS)
async def test_a_redirect_is_not_followed_and_no_reason_holds_the_secret(type_: str) -> None:
    """The token is part of Telegram's URLs, and any response of a provider may repeat it."""
    secret = next(value for value in CONFIGS[type_].values() if "planted" in value)
    echo = whatsapp(100, secret) | telegram(400, secret) | {"code": 5, "message": secret}
    if type_ == "slack":
        echo = slack(secret)
    results: list[Result] = []
    for status, document in ((307, ""), (200 if type_ == "slack" else 400, echo)):
        result, received = await deliver(type_, responds(status, document, {"Location": "http://127.0.0.2/inside"}))
        results.append(result)
        assert len(received) == 1
    assert all(isinstance(result, PermanentFailure) for result in results), results
    assert not [result for result in results if "planted" in result.reason]  # type: ignore[union-attr]


# ---- the explanation -------------------------------------------------------------------------------

SLACK_BLOCKS = {
    "ok": False,
    "error": "invalid_blocks",
    "response_metadata": {
        "messages": ["[ERROR] must be less than 76 characters [json-pointer:/blocks/1/elements/0/text]"]
    },
}
SLACK_SCOPE = {"ok": False, "error": "missing_scope", "needed": "chat:write", "provided": "users:read"}
SLACK_ERRORS = {"ok": False, "error": "invalid_blocks", "errors": ["failed to match all allowed schemas"]}
USER_MESSAGE = {"error": {"code": 100, "message": "Invalid parameter", "error_user_msg": "Informe o nome do template"}}
PARAMETERS = whatsapp(132000, "body: number of localizable_params (1) does not match the expected number of params (2)")
PAGE = "<html><head><title>Request blocked</title></head><body>planted-token</body></html>"


@pytest.mark.parametrize(
    ("type_", "status", "document", "words"),
    [
        ("slack", 200, SLACK_BLOCKS, ["invalid_blocks: [ERROR] must be less than", "/blocks/1/elements/0/text"]),
        ("slack", 200, SLACK_SCOPE, ["missing_scope: needed: chat:write; provided: users:read"]),
        ("slack", 200, SLACK_ERRORS, ["invalid_blocks: failed to match all allowed schemas"]),
        ("slack", 404, "Not here", ["Slack answered 404: Not here"]),
        ("whatsapp", 400, PARAMETERS, ["132000: body: number of localizable_params (1)", "(#132000) title"]),
        ("whatsapp", 400, USER_MESSAGE, ["100: Invalid parameter; Informe o nome do template"]),
        ("whatsapp", 403, PAGE, ["WhatsApp answered 403: Request blocked"]),
        ("telegram", 400, telegram(400, "Bad Request: can't parse entities"), ["400: Bad Request: can't parse"]),
        ("telegram", 404, "nginx", ["Telegram answered 404: nginx"]),
        ("twilio", 400, twilio(21211, 400), ["21211: words; https://www.twilio.com/docs/errors/21211"]),
        ("twilio", 400, "no such account", ["Twilio answered 400: no such account"]),
        ("http", 422, {"error": "telefone\nausente"}, ["the recipient answered 422: ", "telefone"]),
        ("http", 500, "x" * 5000, ["the recipient answered 500: xxx"]),
        ("http", 400, "", ["the recipient answered 400"]),
    ],
)  # fmt: skip
async def test_the_reason_has_the_explanation_of_the_provider(
    type_: str, status: int, document: Any, words: list[str]
) -> None:
    result, _ = await deliver(type_, responds(status, document))
    assert isinstance(result, PermanentFailure | TemporaryFailure)
    assert all(text in result.reason for text in words), result.reason
    assert len(result.reason) < 500
    assert "planted" not in result.reason
    assert result.reason.isprintable()


async def test_an_incoming_webhook_of_slack_explains_itself_too() -> None:
    async with imitated_provider(responds(400, "invalid_blocks: missing text")) as (outside, outbound):
        hook = channel(outbound, "slack", outside.url, botToken=None, webhookUrl=f"{outside.url}/services/T1/B1/x")
        result = await hook.deliver(message())
    assert isinstance(result, PermanentFailure)
    assert (result.kind, result.reason) == ("rejected", "Slack answered invalid_blocks: missing text")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"type": "buttons", "text": "x", "buttons": "a"}, "buttons: expected a list, got a text"),
        (
            {"type": "list", "text": "x", "sections": [{"rows": [{"id": 1, "title": "a"}]}]},
            "sections[0].rows[0].id: expected a text, got a whole number",
        ),
        (
            {"type": "template", "name": "a", "parameters": 5},
            "template.parameters: expected an object or a list, got a whole number",
        ),
    ],
)
async def test_a_content_of_a_wrong_type_is_described_in_words(content: dict[str, Any], reason: str) -> None:
    result, _ = await deliver("whatsapp", responds(200, TAKEN["whatsapp"]), content)
    assert isinstance(result, PermanentFailure)
    assert result.reason == reason


async def test_slack_without_an_error_or_an_id() -> None:
    refused, _ = await deliver("slack", responds(200, {"ok": False, "error": None}))
    assert isinstance(refused, PermanentFailure)
    assert refused.reason == "Slack answered no error"
    delivered, _ = await deliver("slack", responds(200, {"ok": True}))
    assert isinstance(delivered, Delivered)
    assert delivered.provider_id is None
