"""Runs the tests of this package only when FILAS_TEST_HOSTILE is set, as in `.ci/run` and `make test-hostile`."""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips every test of this package unless FILAS_TEST_HOSTILE is set."""
    if os.environ.get("FILAS_TEST_HOSTILE"):
        return
    skip = pytest.mark.skip(reason="takes minutes: run `make test-hostile`")
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(skip)
