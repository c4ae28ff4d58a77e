"""The price of a guarantee is measured without that guarantee."""

import importlib

import pytest

from tests.benchmarks.price.without import METHODS


@pytest.mark.parametrize("guarantee", METHODS)
def test_the_replaced_method_exists(guarantee: str) -> None:
    """Else the benchmark would measure nothing."""
    replaced = METHODS[guarantee]
    owner = getattr(importlib.import_module(replaced.module), replaced.owner)
    assert callable(vars(owner)[replaced.method])
