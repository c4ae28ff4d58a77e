"""The fingerprint of an error: equal for one cause, whatever differs from failure to failure."""

import pytest

from filas.contract.fingerprints import fingerprint, normalised
from filas.models.record import ErrorDetail
from tests.cpu_costs import cpu_s


def of(message: str, kind: str = "http-status", node: str | None = "crm") -> str:
    return fingerprint(ErrorDetail(kind=kind, message=message, node_id=node))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the answer is 500 after 1.2 s", "the answer is 503 after 30 s"),
        ("unknown variable 'nome'", "unknown variable 'idade'"),
        ('no flow "a" is stored', 'no flow "b c" is stored'),
        ("GET https://crm.example/a?x=1 failed", "GET https://crm.example/b failed"),
        ("cannot send to maria@example.com", "cannot send to jose.silva+1@example.com.br"),
        ("cannot send to +55 11 90000-0001", "cannot send to 5511900000002"),
        (
            "run 0190f3a2-1111-7abc-8def-0123456789ab ended",
            "run 0190f3a2-2222-7abc-8def-ba9876543210 ended",
        ),
        ("the job d41d8cd98f00b204 is gone", "the job 9e107d9d372bb682 is gone"),
        ("The  answer\nis late", "the answer is late"),
    ],
)
def test_what_differs_from_failure_to_failure_is_left_out(one: str, other: str) -> None:
    assert of(one) == of(other)


def test_another_kind_node_or_message_is_another_group() -> None:
    """The first two parts can be read and searched."""
    assert of("late").startswith("http-status:crm:")
    assert of("late", node=None).startswith("http-status:-:")
    assert len({of("late"), of("late", kind="timeout"), of("late", node="erp"), of("broken")}) == 4
    assert of("late", kind="a:b").split(":")[0] == "a-b"
    assert "\0" not in of("a\0b", kind="k\0", node="n\0\ud800")


@pytest.mark.parametrize("unit", ["a", "0", "a0", "x@", "'", "http://", "0-", "f", " ", "0190f3a2-1111-"])
def test_the_cost_is_bounded(unit: str) -> None:
    """Also of a message that was made to be costly to search."""
    text = unit * 100_000
    assert cpu_s(lambda: normalised(text), 0.01) < 0.01
