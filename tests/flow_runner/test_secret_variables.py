"""Secret variables and secrets are encrypted wherever an execution stores them."""

from typing import Any

import msgspec
import pytest

from filas.crypto.redaction import HIDDEN, Redactor
from filas.crypto.secret_box import SecretBox
from filas.errors import SecretUnreadable
from flow_runner.engine.conversation_variables import SEALED, ConversationVariables
from flow_runner.engine.execution_state import decode
from tests.flow_runner.harness import BOX, Harness, chain, compiled_flow, node
from tests.flow_runner.memory import Row

NONE = Redactor()
CARD = "4111-1111-1111-1111"
WAIT = node("wait", "delay", ms=60_000)
SHOW = node("sent", "message", text="card {{ vars.card }}")
ASSIGN = node("assign", "set-variable", assignments=[{"variable": "card", "value": "{{ webhook.body.card }}"}])
GIVEN = {"body": {"card": CARD}, "headers": {}, "queryParams": {}}


def _variable(**more: Any) -> list[dict[str, Any]]:
    return [{"name": "card", "secret": True, **more}]


async def _waiting(harness: Harness, definition: dict[str, Any], **start: Any) -> tuple[Row, Any]:
    """An execution that waits."""
    compiled = compiled_flow(definition)
    row = harness.rows.add(webhook=GIVEN, **start)
    assert await harness.run_once(row, compiled) == "waiting-timer"
    return row, compiled


def _texts(harness: Harness, row: Row) -> str:
    """What is stored of an execution and its conversation, except for what was received and what is sent."""
    stored = [row.state, row.output, row.error, list(row.steps.values()), list(harness.rows.conversation_vars.values())]
    return msgspec.json.encode(stored).decode()


@pytest.mark.parametrize("scope", ["execution", "conversation"])
async def test_a_secret_variable_is_encrypted_while_the_execution_waits(scope: str) -> None:
    """It has its value again when the execution continues, and in the next execution of the conversation."""
    harness = Harness()
    definition = chain(ASSIGN, WAIT, SHOW, variables=_variable(scope=scope))
    row, compiled = await _waiting(harness, definition)
    assert CARD not in _texts(harness, row)
    assert "enc:" in (row.state or "")
    await harness.finish(row, compiled)
    assert row.status == "succeeded"
    assert CARD not in _texts(harness, row)
    [sent] = [note for _, checkpoint in harness.written for note in checkpoint.notifications]
    assert sent.payload["text"] == f"card {CARD}"
    if scope == "conversation":
        again = await harness.run(chain(SHOW, variables=_variable(scope=scope)))
        [*_, sent] = [note for _, checkpoint in harness.written for note in checkpoint.notifications]
        assert (again.status, sent.payload["text"]) == ("succeeded", f"card {CARD}")


async def test_what_another_flow_knows_of_a_secret_variable_stays_encrypted() -> None:
    """It declares the variable without `secret`, and stores a copy in one of its own."""
    harness = Harness()
    await harness.run(chain(ASSIGN, variables=_variable(scope="conversation")), webhook=GIVEN)
    copy = node("copy", "set-variable", assignments=[{"variable": "mine", "value": "x {{ vars.card }}"}])
    variables = [{"name": name, "scope": "conversation"} for name in ("mine", "card")]
    row = await harness.run(chain(copy, node("end", "end", output="{{ vars.mine }}"), variables=variables))
    assert row.output == f"x {HIDDEN}"
    assert CARD not in _texts(harness, row)


async def test_the_input_and_output_of_a_subflow_are_encrypted() -> None:
    """The calling flow declares no secret. After the subflow, its output stays encrypted too."""
    harness = Harness()
    inner = chain(
        node("wait-in", "delay", ms=1000),
        node("end", "end", output={"copy": "{{ vars.card }}"}),
        variables=_variable(),
    )
    harness.flows.publish("pay", inner)
    outer = chain(
        node("call", "subflow", flowId="pay", input={"card": "{{ webhook.body.card }}"}),
        WAIT,
        node("end", "end", output="{{ nodes.call.output.copy }}"),
    )
    compiled = compiled_flow(outer)
    row = harness.rows.add(webhook=GIVEN)
    for _ in range(2):
        assert await harness.run_once(row, compiled) == "waiting-timer"
        assert row.wake_at is not None
        harness.clock.advance((row.wake_at - harness.clock.now()).total_seconds())
        assert CARD not in str(row.state)
    assert CARD not in str(row.steps.get(2))


async def test_the_state_of_a_flow_that_uses_secrets_is_encrypted() -> None:
    """A variable may hold a copy of a secret, without a declaration."""
    harness = Harness()
    harness.secrets.values["key"] = "planted-key"
    copy = node("copy", "set-variable", assignments=[{"variable": "mine", "value": "x {{ secrets.key }}"}])
    row, _ = await _waiting(harness, chain(copy, WAIT, variables=[{"name": "mine"}]))
    assert "planted-key" not in _texts(harness, row)


async def test_the_state_of_a_flow_without_secrets_is_plain() -> None:
    """Encryption costs nothing where there is no secret."""
    harness = Harness()
    row, _ = await _waiting(harness, chain(ASSIGN, WAIT, variables=[{"name": "card"}]))
    assert CARD in (row.state or "")


@pytest.mark.parametrize("scope", ["execution", "conversation"])
async def test_rows_of_earlier_versions_are_read(scope: str) -> None:
    """Their secret variables are in plain text. The next checkpoint encrypts them."""
    harness = Harness()
    definition = chain(ASSIGN, WAIT, node("again", "delay", ms=1000), SHOW, variables=_variable(scope=scope))
    row, compiled = await _waiting(harness, definition)
    row.state = msgspec.json.encode(
        msgspec.structs.replace(decode(row.state or "", BOX), holds_secrets=msgspec.UNSET)
    ).decode()
    for conversation, text in harness.rows.conversation_vars.items():
        values = ConversationVariables(text, BOX).values
        harness.rows.conversation_vars[conversation] = msgspec.json.encode(values).decode()
    assert CARD in _texts(harness, row)
    harness.clock.advance(60)
    assert await harness.run_once(row, compiled) == "waiting-timer"
    assert CARD not in (row.state or "")
    await harness.finish(row, compiled)
    assert row.status == "succeeded"


async def test_another_key_is_an_error_that_names_it() -> None:
    """As for other stored secrets. The state is kept: with the former key the execution continues."""
    harness = Harness()
    row, compiled = await _waiting(harness, chain(ASSIGN, WAIT, SHOW, variables=_variable()))
    with pytest.raises(SecretUnreadable, match="FILAS_SECRET_KEY"):
        decode(row.state or "", SecretBox("another key"))
    assert decode(row.state or "", BOX).vars == {"card": CARD}
    await harness.finish(row, compiled)


def test_the_variables_of_a_conversation_with_another_key_are_missing_and_kept() -> None:
    """Until a secret variable is assigned. The other variables are not affected."""
    [card] = compiled_flow(chain(variables=_variable(scope="conversation"))).secret_variables
    first = ConversationVariables('{"name": "Ana"}', BOX)
    first.declare_secret([card])
    first.assign("card", CARD)
    stored = first.text(NONE)
    assert CARD not in stored
    other = ConversationVariables(stored, SecretBox("another key"))
    assert other.values == {"name": "Ana"}
    other.assign("name", "Eva")
    kept = ConversationVariables(other.text(NONE), BOX)
    assert (kept.values, kept.secret_values) == ({"name": "Eva", "card": CARD}, [CARD])


def test_a_value_that_an_earlier_version_has_written_is_newer() -> None:
    """It does not know the encrypted ones, and writes in plain text."""
    [card] = compiled_flow(chain(variables=_variable(scope="conversation"))).secret_variables
    first = ConversationVariables("{}", BOX)
    first.declare_secret([card])
    first.assign("card", CARD)
    stored = msgspec.json.decode(first.text(NONE))
    merged = ConversationVariables(msgspec.json.encode(stored | {"card": "5500"}).decode(), BOX)
    assert merged.values == {"card": "5500"}
    assert set(msgspec.json.decode(merged.text(NONE))) == {SEALED}
