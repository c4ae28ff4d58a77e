"""The failure of a filter, in the author's terms."""

from liquid.exceptions import LiquidError

from filas.flows.found_values import described


class FilterFailure(LiquidError):
    """A filter does not work on its value or its arguments. The message begins with the filter's name."""

    def __init__(self, message: str) -> None:
        super().__init__(message, token=None)


def expected(name: str, what: str, found: object) -> FilterFailure:
    """`money: expected a number, found "abc"`."""
    return FilterFailure(f"{name}: expected {what}, found {described(found)}")
