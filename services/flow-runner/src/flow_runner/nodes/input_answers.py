"""What a contact's answer is worth to an `input`."""

from collections.abc import Sequence

from filas.flows.expressions import regular_expressions
from filas.flows.nodes.input import InputData

_NUMBER = "^[+-]?[0-9]{1,15}([.,][0-9]{1,15})?$"
_EMAIL = r"^[^@\s<>(),;:]+@[^@\s<>(),;:.]+(\.[^@\s<>(),;:.]+)+$"
_MAX_NUMBER = 32
_MAX_EMAIL = 254
"""RFC 5321, 4.5.3.1.3, less the angle brackets."""


class Unfit(ValueError):
    """The answer is not of the kind that was asked for."""


def read_answer(data: InputData, titles: Sequence[str], text: str) -> str | int | float:
    """The value of an answer: the text itself without blanks around it, the number (a comma counts as the decimal
    point), or the id of the choice. Raises Unfit.

    A choice is named by its id (what a button sends), by its title in whatever case, or by its number from 1.
    """
    answer = text.strip()
    if not answer:
        raise Unfit("the answer has no text")
    if data.kind == "number" and len(answer) > _MAX_NUMBER:
        raise Unfit("the answer is no number")
    if data.kind == "choice":
        return _choice(data, titles, answer)
    if data.kind == "number":
        return _number(answer)
    if data.kind == "email" and (len(answer) > _MAX_EMAIL or not regular_expressions.search(_EMAIL, answer)):
        raise Unfit("the answer is no e-mail address")
    if data.kind == "regex" and not _matches(data.pattern or "", answer):
        raise Unfit("the answer doesn't match the pattern")
    return answer


def _matches(pattern: str, answer: str) -> bool:
    try:
        return regular_expressions.search(pattern, answer)
    except ValueError as error:
        raise Unfit(f"the answer can't be compared with the pattern: {error}") from None


def _choice(data: InputData, titles: Sequence[str], answer: str) -> str:
    ids = [choice.id for choice in data.choices]
    if answer in ids:
        return answer
    for choice_id, title in zip(ids, titles, strict=True):
        if title.strip().casefold() == answer.casefold():
            return choice_id
    number = answer.rstrip(".)")
    if number.isascii() and number.isdigit() and len(number) < 4 and 1 <= int(number) <= len(ids):
        return ids[int(number) - 1]
    raise Unfit("the answer is none of the choices")


def _number(answer: str) -> int | float:
    if not regular_expressions.search(_NUMBER, answer):
        raise Unfit("the answer is no number")
    text = answer.replace(",", ".").lstrip("+")

    return float(text) if "." in text else int(text)
