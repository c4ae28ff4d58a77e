"""The sections of the page: what each part measured, and which tables and plots show it."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks.growth.page import stored_data
from tests.benchmarks.report import tables
from tests.benchmarks.report.results import PartResult

GROWTH_EVENTS = 50_000

INTRODUCTION = """# Benchmarks

*Reference.* `make bench` measures this on your machine and writes this page from
[the saved results](benchmarks/results). `make bench FORM=short` takes ten minutes. `make bench-compare BASE=<commit>`
runs two commits in turn and lists what became slower.

Load generator, stores and all processes ran on the same machine, and nothing else did. Every guarantee was on. The
subjects of a part were measured in turn, in rounds, on stores that were new for each measurement. Each figure is the
median of its rounds. Ratios are more reliable than rates: the machine is shared, and its speed varies by the hour."""


@dataclass(frozen=True, slots=True)
class Section:
    """The section of a part: its heading, what was measured, its tables, and the files of its plots."""

    part: str
    heading: str
    words: str
    tables: Callable[[PartResult], list[str]]
    plots: tuple[str, ...] = ()


SECTIONS = [
    Section(
        "whole-way",
        "Whole way",
        """
From HTTP to the end of the flow, with all five processes. With a message: webhook → condition → set-variable → api
→ message; a flow has finished when its message arrives. Without: webhook → condition → api; it has finished when
its row is final. Each webhook is from a new contact. A sender waits until its flow has finished. Those that do not
wait (200 connections) send again as soon as they are answered, which is more than the workers can process.""",
        lambda result: [tables.figures(result, tables.WHOLE_WAY), tables.costs(result), tables.memory(result)],
        ("whole-way.svg", "whole-way-time.svg", "whole-way-cpu.svg"),
    ),
    Section(
        "receiving",
        "Receiving",
        """
One process, 64 connections, signed WhatsApp messages of about 500 bytes. Filas checks the signature and the limit,
stores headers and body once for each message id, and enqueues a job. Fastify does the same in the form with the
same guarantees: one script call in Redis, one `INSERT … ON CONFLICT DO NOTHING` in Postgres and one job in BullMQ
for each request. The row `filas beside ingest admin` has a second process that indexes the words of the events. CPU
is for each request.""",
        lambda result: [tables.figures(result, tables.RECEIVING)],
        ("receiving.svg",),
    ),
    Section(
        "answers",
        "Answers while workers run",
        """
Signed webhooks at 500 per second, beside workers that are stopped, idle (they process what arrives) and busy
(thousands of jobs wait). A latency is counted from the moment at which a request was due.""",
        lambda result: [tables.figures(result, tables.ANSWERS)],
        (),
    ),
    Section(
        "queue",
        "Queue",
        """
One worker process, jobs of about 500 bytes, leases, fencing tokens, retries, counters and dead letters on. In
parentheses: how many times the peer's figure ours is.""",
        lambda result: [tables.queue(result)],
        ("queue.svg",),
    ),
    Section(
        "flow-runner",
        "Flow-runner",
        """
One flow-runner and queued executions of webhook → condition → set-variable → api → message; then executions that
wait a day.""",
        lambda result: [tables.workers(result)],
        (),
    ),
    Section(
        "notifier",
        "Notifier",
        """
One notifier and queued notifications to a local receiver; then a channel beside one for which 1,000 notifications
wait while it answers 429.""",
        lambda result: [tables.workers(result)],
        (),
    ),
    Section(
        "price",
        "Price of the guarantees",
        """
The same load with one guarantee less. The product has no switch for any of them: the benchmark replaces a method
before a service starts, or changes a setting of a store. The price of results and of the order within a group is in
the section about the queue: results off and kept, with and without 1,000 groups. Leases, fences and the outbox are
parts of statements and scripts that do not run without them.""",
        lambda result: [tables.prices(result)],
        ("price.svg",),
    ),
    Section(
        "growth",
        "Growth of the stored data",
        """
The whole way and receiving beside 1, 10 and 100 times 50,000 stored events, with retention and rollups active
(`python -m tests.benchmarks.growth`). [At scale](operations/scale.md) explains the figures.""",
        lambda result: [stored_data(result, sizes_of(result), GROWTH_EVENTS)],
    ),
]


def sizes_of(result: PartResult) -> list[int]:
    """How many times the events are stored, from the names of the subjects: `with-message, 10x`."""
    return sorted({int(name.rpartition(" ")[2].removesuffix("x")) for name in result.subjects})
