"""The definitions that operators store during a run: each differs from the one before, and its effect can be seen."""

import copy
import itertools
import random
from collections.abc import Iterator
from typing import Any, Final

from tests.chaos import flows
from tests.chaos.flows import ASK, ORDER, PARENT, SCHEDULE

Edit = tuple[float, str, str, dict[str, Any]]
"""The seconds to wait before it, the operation, the subject, and the definition."""

EDITED_FLOWS: Final = (ORDER, ASK, PARENT)
ALERT: Final = "chaos"
DISABLED_S: Final = (1.5, 3.0)


class Edits:
    """`messages` and `crm` are the addresses outside."""

    def __init__(self, seed: int, *, messages: str, crm: str) -> None:
        self._chance = random.Random(f"{seed} edits")
        self._serial = itertools.count(1)
        self._flows = flows.flows(crm)
        self._former: dict[str, list[dict[str, Any]]] = {name: [self._flows[name]] for name in EDITED_FLOWS}
        self._webhooks = flows.webhooks()
        self._channels = flows.channels(messages)

    def next(self) -> Iterator[Edit]:
        """The next edit; two for what is disabled for a while."""
        makers = (self._flow, self._flow, self._roll_back, self._webhook, self._disable, self._schedule, self._channel)
        yield from self._chance.choice((*makers, self._alert))()

    def _flow(self) -> Iterator[Edit]:
        name = self._chance.choice(EDITED_FLOWS)
        definition = copy.deepcopy(self._flows[name])
        text = next(one["data"] for one in definition["nodes"] if one["type"] == "message")
        text["text"] += f" ({next(self._serial)})"
        self._former[name].append(definition)
        yield 0.0, "putFlow", f"flows/{name}", definition

    def _roll_back(self) -> Iterator[Edit]:
        name = self._chance.choice(EDITED_FLOWS)
        yield 0.0, "putFlow", f"flows/{name}", self._chance.choice(self._former[name])

    def _webhook(self) -> Iterator[Edit]:
        name = self._chance.choice(list(self._webhooks))
        changed = {"rateLimit": {"max": 1_000_000 - next(self._serial), "windowMs": 60_000}}
        yield 0.0, "putWebhook", f"webhooks/{name}", self._webhooks[name] | changed

    def _disable(self) -> Iterator[Edit]:
        name = self._chance.choice(list(self._webhooks))
        yield 0.0, "putWebhook", f"webhooks/{name}", self._webhooks[name] | {"enabled": False}
        yield self._chance.uniform(*DISABLED_S), "putWebhook", f"webhooks/{name}", self._webhooks[name]

    def _schedule(self) -> Iterator[Edit]:
        changed = SCHEDULE | {"input": {"edit": next(self._serial)}}
        yield 0.0, "putSchedule", "schedules/tick", changed | {"enabled": False}
        yield self._chance.uniform(*DISABLED_S), "putSchedule", "schedules/tick", changed

    def _channel(self) -> Iterator[Edit]:
        name = self._chance.choice(list(self._channels))
        definition = self._channels[name]
        url = f"{definition['url']}?edit={next(self._serial)}"
        yield 0.0, "putChannel", f"channels/{name}", definition | {"url": url}

    def _alert(self) -> Iterator[Edit]:
        """A rule that never fires."""
        threshold = 1_000_000 + next(self._serial)
        yield 0.0, "putAlert", f"alerts/{ALERT}", {"metric": "dead-letters", "threshold": threshold, "to": []}
