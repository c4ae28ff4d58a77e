"""The channel `console`: one readable line a message."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.channel import Delivered, OutgoingMessage, TemporaryFailure
from notifier.channels.console import ConsoleChannel, one_line
from tests.captured_logs import captured_logs


def message(content: dict[str, object], to: str = "5511999990000") -> OutgoingMessage:
    return OutgoingMessage(id=uuid4(), to=to, content=content, idempotency_key="e:1", execution_id=None)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"type": "text", "text": "Olá Maria!"}, "To: 5511999990000 | Olá Maria!"),
        ({"type": "text", "text": "one\ntwo\x1b[2J"}, r"To: 5511999990000 | one\ntwo\x1b[2J"),
        ({"type": "text", "subject": "News", "text": "Hi"}, "To: 5511999990000 | [News] Hi"),
        (
            {
                "type": "buttons",
                "text": "Shall we?",
                "buttons": [{"id": "y", "title": "Yes"}, {"id": "n", "title": "No"}],
            },
            "To: 5511999990000 | Shall we? [Yes] [No]",
        ),
        (
            {"type": "media", "kind": "image", "url": "https://a.example/b.png", "caption": "A cat"},
            "To: 5511999990000 | [image] https://a.example/b.png A cat",
        ),
        ({"type": "template", "name": "welcome", "language": "pt"}, "To: 5511999990000 | [template welcome, pt]"),
    ],
)
async def test_each_kind_of_content_is_a_line_to_read(content: dict[str, object], line: str) -> None:
    lines: list[str] = []
    assert await ConsoleChannel(lines.append).deliver(message(content)) == Delivered()
    assert lines == [line]


async def test_the_log_records_the_message_without_its_text() -> None:
    with captured_logs() as logged:
        await ConsoleChannel(lambda _line: None).deliver(message({"type": "text", "text": "a secret"}, to="Maria"))
    assert [entry["event"] for entry in logged] == ["console.message_printed"]
    assert "a secret" not in str(logged)
    assert "Maria" not in str(logged)


async def test_a_terminal_that_is_gone_is_tried_again() -> None:
    def gone(_line: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    assert isinstance(await ConsoleChannel(gone).deliver(message({"type": "text", "text": "x"})), TemporaryFailure)


@given(st.text(st.characters()))
def test_whatever_comes_in_is_one_printable_line(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line.encode()) >= len(text)
