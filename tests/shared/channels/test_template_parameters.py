"""Template parameters are written as templates write values, in the form that a provider accepts."""

from typing import Any

import pytest

from filas.channels.invalid_content import InvalidContent
from filas.channels.template_parameters import parameter_text, written
from filas.flows.templates.template import as_text

BODY = {"type": "body", "parameters": [{"type": "text", "text": "a\nb"}]}
PRICE = {"type": "currency", "currency": {"fallback_value": "R$ 1", "code": "BRL", "amount_1000": 1000}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["Ana", 3, 10.5, True, False], ["Ana", "3", "10.5", "true", "false"]),
        ([["a", "b"], {"a": None, "é": 1}, []], ['["a","b"]', '{"a":null,"é":1}', "[]"]),
        (["a\nb", "a\r\n\r\nb", "a    b", "\ta\u2028b ", "R$\u00a05"], ["a b", "a b", "a b", "a b", "R$\u00a05"]),
        ({"nome": "Ana\tLima", "n": 1, "on": True}, {"nome": "Ana Lima", "n": "1", "on": "true"}),
        ([PRICE, {"type": "vip", "n": 1}], [PRICE, '{"type":"vip","n":1}']),
        (
            [{"type": "document", "document": {"link": "https://x.example/a.pdf", "filename": "a\nb.pdf"}}],
            [{"type": "document", "document": {"link": "https://x.example/a.pdf", "filename": "a b.pdf"}}],
        ),
        ([{"type": {"a": 1}}, {"type": []}], ['{"type":{"a":1}}', '{"type":[]}']),
        ([{"type": "text", "text": 5}], [{"type": "text", "text": "5"}]),
        ([BODY], [{"type": "body", "parameters": [{"type": "text", "text": "a b"}]}]),
        (
            [{"type": "carousel", "cards": [{"card_index": 0, "components": [BODY]}]}],
            [
                {
                    "type": "carousel",
                    "cards": [
                        {
                            "card_index": 0,
                            "components": [{"type": "body", "parameters": [{"type": "text", "text": "a b"}]}],
                        }
                    ],
                }
            ],
        ),
        (None, None),
        ([], []),
        ({}, {}),
    ],
)
def test_values_are_written_as_texts_on_one_line(given: Any, expected: Any) -> None:
    assert written(given) == expected
    assert written(written(given)) == expected, "the notifier writes them a second time"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["Ana", None], "the template's parameter `template.parameters[1]` is null; a provider refuses it"),
        ({"nome": None}, "the template's parameter `template.parameters.nome` is null; a provider refuses it"),
        ([" \n "], "the template's parameter `template.parameters[0]` is empty; a provider refuses it"),
        (
            [{"type": "currency", "currency": {"fallback_value": "R$ 1", "code": "BRL", "amount_1000": None}}],
            "the template's parameter `template.parameters[0].currency.amount_1000` is null",
        ),
        (
            [{"type": "header", "parameters": [{"type": "image", "image": {"link": ""}}]}],
            "the template's parameter `template.parameters[0].parameters[0].image.link` is empty",
        ),
        (
            {"dia": {"type": "date_time", "date_time": {"fallback_value": " "}}},
            "the template's parameter `template.parameters.dia.date_time.fallback_value` is empty",
        ),
        ([{"type": "text", "text": None}], "the template's parameter `template.parameters[0].text` is null"),
        (
            [BODY, {"type": "button", "parameters": [{"type": "text", "text": ""}]}],
            "the template's parameter `template.parameters[1].parameters[0].text` is empty",
        ),
    ],
)
def test_a_null_and_an_empty_parameter_are_refused_by_name(given: Any, message: str) -> None:
    with pytest.raises(InvalidContent) as refused:
        written(given)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("value", [True, False, 0, 3, 3.0, 10.5, 1e30, ["a", "b"], {"a": None, "é": [1]}, "x"])
def test_a_parameter_is_written_as_a_template_writes_it(value: Any) -> None:
    assert parameter_text(value, "x") == as_text(value)
