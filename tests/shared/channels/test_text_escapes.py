"""Text from outside is shown as it is, on each channel."""

import html as standard_html

import pytest

from filas.channels import text_escapes
from filas.channels.text_escapes import ZERO_WIDTH_SPACE, escape_of

Z = ZERO_WIDTH_SPACE
PLACES = "https://a.example/_x_?y=*z* ana_lima@a.example"


@pytest.mark.parametrize(
    ("channel", "mode", "value", "expected"),
    [
        ("slack", None, "<!channel>", "&lt;!channel&gt;"),
        ("slack", None, "<@U1> & <https://x|y>", "&lt;@U1&gt; &amp; &lt;https://x|y&gt;"),
        ("slack", None, "&lt;", "&amp;lt;"),
        ("telegram", "HTML", "<b>Ana</b> & 'x' \"y\"", "&lt;b&gt;Ana&lt;/b&gt; &amp; &#39;x&#39; &quot;y&quot;"),
        ("telegram", "MarkdownV2", "_*[]()~`>#+", r"\_\*\[\]\(\)\~\`\>\#\+"),
        ("telegram", "MarkdownV2", "a-=|{}.!\\b", r"a\-\=\|\{\}\.\!\\b"),
        ("telegram", "Markdown", "a_b*c`d[e", "a\\_b\\*c\\`d\\[e"),
        ("whatsapp", None, "*Ana*", f"{Z}*{Z}Ana{Z}*{Z}"),
        ("whatsapp", None, "_a_ ~b~ ```c```", f"{Z}_{Z}a{Z}_{Z} {Z}~{Z}b{Z}~{Z} " + f"{Z}`{Z}`{Z}`{Z}c{Z}`{Z}`{Z}`{Z}"),
        ("whatsapp", None, "> citado\n- item\n* item\n1. um", f">{Z} citado\n-{Z} item\n*{Z} item\n1.{Z} um"),
        ("whatsapp", None, "5 * 3 = 15, a_b, x-y", "5 * 3 = 15, a_b, x-y"),
        ("whatsapp", None, PLACES, PLACES),
        ("whatsapp", None, "Ana Lima", "Ana Lima"),
    ],
)  # fmt: skip
def test_markup_of_the_channel_is_escaped(channel: str, mode: str | None, value: str, expected: str) -> None:
    escape = escape_of(channel, "5511", mode)
    assert escape is not None
    assert escape(value) == expected


@pytest.mark.parametrize(
    ("channel", "to"),
    [("telegram", "5"), ("twilio", "+5511"), ("email", "a@b"), ("http", "x"), ("console", "x"), (None, None)],
)
def test_a_channel_without_markup_escapes_nothing(channel: str | None, to: str | None) -> None:
    assert escape_of(channel, to) is None


def test_twilio_escapes_for_whatsapp_if_the_recipient_is_there() -> None:
    assert escape_of("twilio", "whatsapp:+5511") is text_escapes.whatsapp


@pytest.mark.parametrize("value", ["<script>alert('x')</script>", 'a" onclick="b', "R&D & <b>", "&copy <&#60;x"])
def test_html_is_escaped_once(value: str) -> None:
    once = text_escapes.html(value)
    assert not set("<>\"'") & set(once)
    assert text_escapes.html(once) == once
    assert text_escapes.html(standard_html.escape(value)) == standard_html.escape(value).replace("&#x27;", "&#x27;")


@pytest.mark.parametrize("value", ["<!channel>", "&lt;", "a & b", "&amp;lt;"])
def test_a_text_for_slack_can_be_read_back(value: str) -> None:
    assert text_escapes.unescaped_slack(text_escapes.slack(value)) == value
