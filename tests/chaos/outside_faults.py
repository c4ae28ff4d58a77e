"""Faults of the links and of the receivers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from tests.chaos.installation import Installation, Maker, Way
from tests.chaos.links import Mode
from tests.chaos.outside import Behaviour
from tests.chaos.schedule import Fault


def _link(mode: Mode) -> Maker:
    def make(installation: Installation, fault: Fault) -> AbstractAsyncContextManager[None]:
        return _mode(installation.links[fault.target], mode)

    return make


def _receiver(behaviour: Behaviour) -> Maker:
    @asynccontextmanager
    async def make(installation: Installation, fault: Fault) -> AsyncIterator[None]:
        receiver = installation.receivers[fault.target]
        receiver.behaviour = behaviour
        try:
            yield
        finally:
            receiver.behaviour = "well"

    return make


def _receiver_down(installation: Installation, fault: Fault) -> AbstractAsyncContextManager[None]:
    return _mode(installation.links[f"outside/{fault.target}"], "cut")


@asynccontextmanager
async def _mode(link: Way, mode: Mode) -> AsyncIterator[None]:
    link.set(mode)
    try:
        yield
    finally:
        link.set("open")


OUTSIDE_FAULTS: Final[Mapping[str, Maker]] = {
    "link-slow": _link("slow"),
    "link-cut": _link("cut"),
    "link-one-way": _link("one-way"),
    "receiver-down": _receiver_down,
    "receiver-slow": _receiver("slow"),
    "receiver-garbage": _receiver("garbage"),
    "receiver-busy": _receiver("busy"),
}
"""How each kind is made."""
