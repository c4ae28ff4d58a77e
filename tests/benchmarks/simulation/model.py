"""The whole way as a network of queues: senders, four stages of processes, and two stores.

A stage takes the flows that wait, up to the largest batch that was measured, and works on them together: its own work,
then that of Redis and of Postgres, then the wait until they are on disk. Meanwhile it may begin another batch.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tests.benchmarks.simulation.costs import ADMIN, SENDERS, STAGES, STORES, Cost, Costs
from tests.benchmarks.simulation.machines import UNLIMITED, Clock, Machine, Part

SPREAD: Final = 0.5
"""A piece of work takes 1 - SPREAD to 1 + SPREAD times its mean."""

BATCHES_AT_A_TIME: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the parts run. `machines`: cores by the name of the machine; `places`: the machine of each part (else the
    first one). A part of which several run has `copies`. Without `senders`, flows arrive at `arrivals` a second."""

    machines: Mapping[str, float] = field(default_factory=lambda: {"machine": 2.0})
    places: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[str, int] = field(default_factory=dict)
    senders: int = 0
    arrivals: float = 0.0


@dataclass(slots=True)
class Outcome:
    """What happened in the measured time. `begun` and `ended` count from the beginning of the run. `busy`: the share of
    the time that each part worked. `batch`: the mean size of the batches of a stage."""

    seconds: float
    rate: float
    latency_s: float
    begun: int
    ended: int
    busy: dict[str, float]
    batch: dict[str, float]
    mean_present: float

    @property
    def saturated(self) -> list[str]:
        """The parts that are busy nearly all of the time, the busiest first. For a machine: its cores."""
        full = [name for name, share in self.busy.items() if share > 0.97]
        return sorted(full, key=lambda name: -self.busy[name])


class _Stage:
    """The processes of one kind, with the queue that they share."""

    def __init__(self, model: Model, name: str, machine: Machine, copies: int) -> None:
        self._model, self._name = model, name
        self._cost = model.costs.parts[name]
        self._queue: deque[float] = deque()
        self._processes = [(Part(machine), [0]) for _ in range(copies)]
        self.batches = self.flows = self._running = 0
        self.then: Callable[[list[float]], None] = model.end

    @property
    def held(self) -> int:
        """The flows that wait or are worked on."""
        return len(self._queue) + self._running

    @property
    def busy_s(self) -> float:
        """The work of its processes so far."""
        return sum(part.busy_s for part, _ in self._processes)

    def add(self, flows: list[float]) -> None:
        """Flows arrive together. A flow is the time at which it began."""
        self._queue.extend(flows)
        self._begin()

    def _begin(self) -> None:
        for process, running in sorted(self._processes, key=lambda one: one[1][0]):
            if self._queue and running[0] < BATCHES_AT_A_TIME:
                count = min(len(self._queue), max(1, round(self._model.costs.batch)))
                batch = [self._queue.popleft() for _ in range(count)]
                running[0] += 1
                self.batches += 1
                self.flows += count
                self._running += count
                self._run(process, running, batch)

    def _run(self, process: Part, running: list[int], batch: list[float]) -> None:
        model, count = self._model, len(batch)

        def ended() -> None:
            running[0] -= 1
            self._running -= count
            self.then(batch)
            self._begin()

        def stored() -> None:
            model.clock.after(model.costs.wait_s, ended)

        def counted() -> None:
            model.store("postgres", count, stored)

        process.run(model.vary(self._cost, count), lambda: model.store("redis", count, counted))


class Model:
    """One run of a layout, by the costs of the parts. The same seed gives the same run."""

    def __init__(self, costs: Costs, layout: Layout, seed: int = 1) -> None:
        self.costs = costs
        self.clock = Clock()
        self._layout = layout
        self._chance = random.Random(seed)
        self._machines = {name: Machine(self.clock, cores) for name, cores in layout.machines.items()}
        self._stores = {"redis": Part(self._at("redis")), "postgres": Part(self._at("postgres"), UNLIMITED)}
        self._senders, self._admin = Part(self._at(SENDERS)), Part(self._at(ADMIN))
        self.stages = [_Stage(self, name, self._at(name), layout.copies.get(name, 1)) for name in STAGES]
        for stage, following in zip(self.stages, self.stages[1:], strict=False):
            stage.then = following.add
        self.begun = self.ended = self.sending = self._counted = 0
        self._latency_s = self._present_s = self._changed = 0.0

    def vary(self, cost: Cost, count: int) -> float:
        """The time of a piece of work for `count` flows."""
        return (cost.batch_s + count * cost.flow_s) * self._chance.uniform(1 - SPREAD, 1 + SPREAD)

    def store(self, name: str, count: int, then: Callable[[], None]) -> None:
        """The part of a store's work that one stage causes."""
        cost = self.costs.parts[name]
        of_stage = Cost(cost.flow_s / len(STAGES), cost.batch_s)
        self._stores[name].run(self.vary(of_stage, count), then)

    def end(self, flows: list[float]) -> None:
        """Flows have passed the last stage: their senders see that, and each begins the next."""
        for flow in flows:
            if self._layout.senders:
                self.sending += 1
                self._senders.run(self._sending_s(), partial(self._learned, flow))
            else:
                self._ended(flow)

    def run(self, seconds: float, warm_up_s: float) -> Outcome:
        """Runs the model, and returns what happened in `seconds` after the warm-up."""
        for _ in range(self._layout.senders):
            self.clock.after(self._chance.random() * 0.1, self._send)
        if self._layout.arrivals:
            self.clock.after(self._chance.expovariate(self._layout.arrivals), self._arrive)
        self.clock.run(warm_up_s)
        self._count_present()
        before = self._reading()
        self._latency_s = self._present_s = 0.0
        self._counted = 0
        self.clock.run(warm_up_s + seconds)
        self._count_present()
        after = self._reading()
        busy = {name: (after[name] - before[name]) / seconds for name in after}
        for name in STAGES:
            busy[name] /= self._layout.copies.get(name, 1)
        for name, machine in self._machines.items():
            busy[f"cores of {name}"] = busy.pop(f"cores of {name}") / machine.cores
        del busy["postgres"]  # its sessions use as many cores as there are
        return Outcome(
            seconds=seconds,
            rate=self._counted / seconds,
            latency_s=self._latency_s / max(1, self._counted),
            begun=self.begun,
            ended=self.ended,
            busy=busy,
            batch={name: one.flows / max(1, one.batches) for name, one in zip(STAGES, self.stages, strict=True)},
            mean_present=self._present_s / seconds,
        )

    def _at(self, part: str) -> Machine:
        first = next(iter(self._layout.machines))
        return self._machines[self._layout.places.get(part, first)]

    def _sending_s(self) -> float:
        return self.vary(self.costs.parts[SENDERS], 1) / 2

    def _send(self) -> None:
        self._count_present()
        self.begun += 1
        self.sending += 1
        began = self.clock.now
        self._senders.run(self._sending_s(), lambda: self._sent(began))

    def _sent(self, flow: float) -> None:
        self.sending -= 1
        self._accept(flow)

    def _learned(self, flow: float) -> None:
        self.sending -= 1
        self._ended(flow)

    def _arrive(self) -> None:
        self._count_present()
        self.begun += 1
        self._accept(self.clock.now)
        self.clock.after(self._chance.expovariate(self._layout.arrivals), self._arrive)

    def _accept(self, flow: float) -> None:
        self._admin.run(self.vary(self.costs.parts[ADMIN], 1), lambda: None)
        self.stages[0].add([flow])

    def _ended(self, flow: float) -> None:
        self._count_present()
        self.ended += 1
        self._counted += 1
        self._latency_s += self.clock.now - flow
        if self._layout.senders:
            self._send()

    def _count_present(self) -> None:
        self._present_s += (self.begun - self.ended) * (self.clock.now - self._changed)
        self._changed = self.clock.now

    def _reading(self) -> dict[str, float]:
        for machine in self._machines.values():
            machine.settle()
        used = {f"cores of {name}": machine.used_s for name, machine in self._machines.items()}
        used |= {name: part.busy_s for name, part in self._stores.items()}
        return used | {stage: one.busy_s for stage, one in zip(STAGES, self.stages, strict=True)}


def bound(costs: Costs, layout: Layout) -> tuple[float, str]:
    """The rate that no run of the layout can exceed, and the part that sets it: the largest batches, and no waits."""
    parts = {name: layout.copies.get(name, 1) for name in STAGES} | {"redis": 1}
    rates = {name: copies / of_flow for name, copies in parts.items() if (of_flow := costs.loaded_s(name))}
    first = next(iter(layout.machines))
    if layout.senders and costs.loaded_s(SENDERS):
        rates[SENDERS] = 1 / costs.loaded_s(SENDERS)
    for machine, cores in layout.machines.items():
        here = [name for name in (*STAGES, *STORES, ADMIN) if layout.places.get(name, first) == machine]
        here += [SENDERS] if layout.senders and layout.places.get(SENDERS, first) == machine else []
        if here and (of_flow := costs.loaded_s(*here)):
            rates[f"cores of {machine}"] = cores / of_flow
    slowest = min(rates, key=lambda name: rates[name])
    return rates[slowest], slowest
