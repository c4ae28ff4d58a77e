"""Starts a service without one of its guarantees: `python -m tests.benchmarks.price.without GUARANTEE MODULE …`.

The product has no such switch. This module replaces one method before the service starts, and raises AttributeError if
that method has another name by now.
"""

import importlib
import runpy
import sys
from collections.abc import Callable
from typing import Any, NamedTuple


class Replaced(NamedTuple):
    """A method of a class in a module, and what is called instead."""

    module: str
    owner: str
    method: str
    instead: Callable[..., Any]


def _any_signature(_self: object, _received_request: object) -> None:
    """No reason to reject a request."""


def _no_keys(_self: object, *_: object) -> object:
    return importlib.import_module("ingest.receive.request_events")._Keys(None, None, None)


def _granted(_self: object, _limit: object) -> object:
    return importlib.import_module("ingest.receive.rate_limit").Grant(True, 1, 1)


METHODS = {
    "the signature": Replaced("ingest.verify.signature", "SignatureScheme", "rejection_reason", _any_signature),
    "the duplicate check": Replaced("ingest.receive.request_events", "RequestReader", "_keys", _no_keys),
    "the rate limit": Replaced("ingest.receive.rate_limit", "RateLimiter", "acquire_now", _granted),
}


def replace(guarantee: str) -> None:
    """Replaces the method that gives the guarantee. Raises AttributeError."""
    replaced = METHODS[guarantee]
    owner = getattr(importlib.import_module(replaced.module), replaced.owner)
    getattr(owner, replaced.method)
    setattr(owner, replaced.method, replaced.instead)


def main() -> None:
    """Runs the module as `python -m` does."""
    _, guarantee, module, *arguments = sys.argv
    replace(guarantee)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
