"""What a saved test expects of a test run, and how the run differs from it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from filas.models.flow_tests import FlowTestStatus

MAX_ITEMS: Final = 1000

Text = Annotated[str, msgspec.Meta(max_length=65_536)]


class Contains(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text of which only this part is expected, because the rest differs in each run (a date, for example)."""

    contains: Text


class ExpectedCall(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """A call of a node. Fields that are left out are not compared. Of an object in `body`, only the fields that are
    named are compared."""

    node_id: Annotated[str, msgspec.Meta(max_length=128)]
    method: Annotated[str, msgspec.Meta(max_length=16)] | None = None
    url: Text | None = None
    body: Any = None


class Expectation(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """What is expected of a run. Parts that are left out are not compared.

    `chat` are the messages of the flow, all of them and in order. `calls` are the calls, all of them and in order.
    `vars` are some of the variables; of an object, only the fields that are named are compared.
    """

    status: FlowTestStatus | None = None
    chat: Annotated[list[Text | Contains], msgspec.Meta(max_length=MAX_ITEMS)] | None = None
    calls: Annotated[list[ExpectedCall], msgspec.Meta(max_length=MAX_ITEMS)] | None = None
    vars: dict[str, Any] | None = None


class ResultDifference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of a run that is not as expected: `chat[2]`, `calls[0].url`, `vars.total`. Null: the part is missing on
    that side."""

    field: str
    expected: Any = None
    found: Any = None


def result_differences(expected: Expectation, run: Mapping[str, Any]) -> list[ResultDifference]:
    """Returns every part of a run (the answer of a test run, as JSON) that is not as expected."""
    found: list[ResultDifference] = []
    if expected.status is not None and run["status"] != expected.status:
        found.append(ResultDifference(field="status", expected=expected.status, found=_status(run)))
    if expected.chat is not None:
        lines = [line["text"] for line in run["chat"] if line["sender"] == "flow"]
        found += _chat(expected.chat, lines)
    if expected.calls is not None:
        found += _calls(expected.calls, [call for call in run["calls"] if call.get("method") is not None])
    if expected.vars is not None:
        found += _subset("vars", expected.vars, run["vars"])
    return found


def _status(run: Mapping[str, Any]) -> str:
    """The status with the reason of a failure, which is what its reader wants to know."""
    error = run.get("error")
    if not error:
        return str(run["status"])
    place = f" at {error['nodeId']}" if error.get("nodeId") else ""
    return f"{run['status']}{place}: {error['kind']}: {error['message']}"


def _chat(expected: Sequence[str | Contains], lines: Sequence[str]) -> Iterator[ResultDifference]:
    for index in range(max(len(expected), len(lines))):
        wanted = expected[index] if index < len(expected) else None
        text = lines[index] if index < len(lines) else None
        if isinstance(wanted, Contains):
            if text is None or wanted.contains not in text:
                yield ResultDifference(field=f"chat[{index}]", expected=msgspec.to_builtins(wanted), found=text)
        elif wanted != text:
            yield ResultDifference(field=f"chat[{index}]", expected=wanted, found=text)


def _calls(expected: Sequence[ExpectedCall], calls: Sequence[Mapping[str, Any]]) -> Iterator[ResultDifference]:
    for index in range(max(len(expected), len(calls))):
        field = f"calls[{index}]"
        if index >= len(calls):
            yield ResultDifference(field=field, expected=msgspec.to_builtins(expected[index]))
        elif index >= len(expected):
            yield ResultDifference(field=field, found=_shown(calls[index]))
        elif expected[index].node_id != calls[index]["nodeId"]:
            wanted = msgspec.to_builtins(expected[index])
            yield ResultDifference(field=field, expected=wanted, found=_shown(calls[index]))
        else:
            fields = msgspec.to_builtins(expected[index])
            yield from _subset(field, fields, calls[index])


def _shown(call: Mapping[str, Any]) -> dict[str, Any]:
    return {name: call[name] for name in ("nodeId", "method", "url", "body") if call.get(name) is not None}


def _subset(field: str, expected: Any, found: Any) -> Iterator[ResultDifference]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for name, value in expected.items():
            yield from _subset(f"{field}.{name}", value, found.get(name))
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (wanted, value) in enumerate(zip(expected, found, strict=True)):
            yield from _subset(f"{field}[{index}]", wanted, value)
    elif isinstance(expected, bool) is not isinstance(found, bool) or expected != found:
        yield ResultDifference(field=field, expected=expected, found=found)
