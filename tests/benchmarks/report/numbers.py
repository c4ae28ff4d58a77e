"""How the figures are written."""


def number(value: float | None) -> str:
    """A number of a table: about three significant digits, without an exponent. Empty if it was not measured."""
    if value is None:
        return ""
    magnitude = abs(value)
    if magnitude >= 100 or value == round(value):
        return f"{value:,.0f}"
    if magnitude < 0.001:
        return "< 0.001"
    return f"{value:.1f}" if magnitude >= 10 else f"{value:.2f}" if magnitude >= 0.1 else f"{value:.3f}"


def mib(bytes_: float | None) -> str:
    """Bytes as MiB."""
    return "" if bytes_ is None else f"{bytes_ / 2**20:.2f}"


def times(ratio: float | None) -> str:
    """A ratio with two digits; empty if it is not known."""
    return "" if ratio is None else f"{ratio:.2f}"
