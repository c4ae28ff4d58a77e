"""The simulated queues behave as queues do, and the costs are those that were measured."""

import pytest

from tests.benchmarks.simulation.costs import PARTS, SENDERS, STAGES, Cost, Costs, calibrated
from tests.benchmarks.simulation.machines import Clock, Machine, Part
from tests.benchmarks.simulation.model import Layout, Model, Outcome, bound

COSTS = Costs(
    {
        SENDERS: Cost(0.2e-3, 0),
        "ingest": Cost(0.3e-3, 0.1e-3),
        "ingest-worker": Cost(0.5e-3, 0.3e-3),
        "flow-runner": Cost(1.1e-3, 0.3e-3),
        "notifier": Cost(0.7e-3, 0.2e-3),
        "redis": Cost(0.4e-3, 0.05e-3),
        "postgres": Cost(1.2e-3, 0.2e-3),
        "ingest-admin": Cost(0.1e-3, 0),
    },
    batch=10.0,
    wait_s=2e-3,
    wal_bytes=10_000,
)
TWO_OF_EACH = dict.fromkeys(STAGES, 2)


def apart(**copies: int) -> Layout:
    """The processes, the stores and the senders on machines of their own."""
    return Layout(
        machines={"workers": 16.0, "store": 32.0, "outside": 4.0},
        places={"postgres": "store", "redis": "store", SENDERS: "outside"},
        copies=copies,
        senders=3000,
    )


def outcome(layout: Layout, seed: int = 1, seconds: float = 8.0) -> Outcome:
    """A run after three seconds of warm-up."""
    return Model(COSTS, layout, seed).run(seconds, 3.0)


def test_the_cores_of_a_machine_are_shared() -> None:
    """Three threads of a second each end after 1.5 s on two cores: none of them uses more than one core."""
    clock, ends = Clock(), list[float]()
    machine = Machine(clock, 2)
    for _ in range(3):
        machine.run(1.0, lambda: ends.append(clock.now))
    clock.run(10)
    assert ends == pytest.approx([1.5, 1.5, 1.5])
    machine.run(1.0, lambda: ends.append(clock.now))
    clock.run(20)
    assert ends[-1] == pytest.approx(11.0)
    machine.settle()
    assert machine.used_s == pytest.approx(4.0)


def test_a_process_runs_one_piece_of_work_at_a_time() -> None:
    """The second piece begins when the first has ended, on any number of cores."""
    clock, ends = Clock(), list[float]()
    part = Part(Machine(clock, 8))
    part.run(1.0, lambda: ends.append(clock.now))
    part.run(2.0, lambda: ends.append(clock.now))
    clock.run(10)
    assert ends == pytest.approx([1.0, 3.0])


def test_the_seed_decides_the_run() -> None:
    """The same seed gives the same outcome, and another seed another one."""
    layout = Layout(arrivals=200.0)
    assert outcome(layout, 7) == outcome(layout, 7)
    assert outcome(layout, 7) != outcome(layout, 8)


@pytest.mark.parametrize("layout", [Layout(senders=40), Layout(arrivals=150.0), Layout(arrivals=900.0)])
def test_no_flow_is_lost_or_made(layout: Layout) -> None:
    """Each flow that has begun has ended or is in the model."""
    model = Model(COSTS, layout)
    found = model.run(10.0, 3.0)
    inside = sum(stage.held for stage in model.stages) + model.sending
    assert found.begun - found.ended == inside > 0


@pytest.mark.parametrize("layout", [Layout(senders=40), Layout(arrivals=150.0), Layout(senders=5, copies=TWO_OF_EACH)])
def test_littles_law_holds(layout: Layout) -> None:
    """The mean number of flows is their rate times their mean time."""
    found = outcome(layout, seconds=30.0)
    assert found.mean_present == pytest.approx(found.rate * found.latency_s, rel=0.02)
    if layout.senders:
        assert found.mean_present == pytest.approx(layout.senders)


def test_a_load_below_the_bound_is_served() -> None:
    """Flows end as fast as they arrive, and no part is full."""
    found = outcome(Layout(arrivals=200.0), seconds=30.0)
    assert found.rate == pytest.approx(200, rel=0.05)
    assert found.saturated == []


@pytest.mark.parametrize(
    ("layout", "part"),
    [
        (Layout(senders=2000), "cores of machine"),
        (Layout(senders=2000, copies=TWO_OF_EACH), "cores of machine"),
        (apart(), "flow-runner"),
        (apart(**dict.fromkeys(STAGES, 9)), "redis"),
    ],
)
def test_a_full_part_works_at_the_bound(layout: Layout, part: str) -> None:
    """With many flows at a time, the rate is what the costs allow in the part that has the most to do, and not more."""
    rate, slowest = bound(COSTS, layout)
    found = outcome(layout)
    assert slowest == part
    assert 0.8 * rate < found.rate < 1.03 * rate
    assert part in found.saturated


def test_costs_are_found_from_three_measurements() -> None:
    """A part that needs 5 ms for one flow and 2 ms for each of many, in batches of four, has 1 ms for a flow and 4 ms
    for a batch. A batch of a store is a quarter of that, because each of four stages has one. What the parts need
    without load does not count: here 1 s in 100 s, which is 1 ms for each of ten flows a second."""
    idle = {f"{name}, CPU ms": 1000.0 for name in PARTS} | {"statements": 0.0, "seconds": 100.0}
    one = {f"{name}, CPU ms": 6.0 for name in PARTS}
    many = {f"{name}, CPU ms": 2.1 for name in PARTS}
    one |= {"statements": 8.0, "flows/s": 10.0}
    many |= {"statements": 2.0, "flows/s": 100.0, "WAL bytes": 10_000.0, "cores busy": 2.0, "cores stolen": 0.0}
    costs = calibrated(idle, one, many)
    assert costs.batch == pytest.approx(4)
    assert costs.loaded_s("notifier") == pytest.approx(0.002)
    assert costs.alone_s("postgres") == pytest.approx(0.005)
    assert costs.parts["notifier"].flow_s == pytest.approx(0.001)
    assert costs.parts["notifier"].batch_s == pytest.approx(0.004)
    assert costs.parts["postgres"].batch_s == pytest.approx(0.001)
    assert costs.parts[SENDERS].flow_s == pytest.approx(0.002)
    assert costs.parts[SENDERS].batch_s == 0
    assert costs.wait_s == pytest.approx((0.1 - 0.042) / 4)
    assert costs.idle_cores == pytest.approx(0.01 * len(PARTS))
    assert costs.other_cores == pytest.approx(2.0 - 0.21 * len(PARTS))
