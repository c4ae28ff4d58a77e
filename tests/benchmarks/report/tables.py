"""The tables of the page."""

from collections.abc import Callable, Sequence

from tests.benchmarks.report.numbers import mib, number, times
from tests.benchmarks.report.plots import PROCESSES
from tests.benchmarks.report.results import PartResult, Subject, ratio

Write = Callable[[float | None], str]
Column = tuple[str, str, Write]
"""A title, the name of a figure, and how it is written."""

RECEIVING: list[Column] = [
    ("requests/s", "rate", number), ("p50 ms", "p50", number), ("p99 ms", "p99", number),
    ("CPU of the server, ms", "cpu server", number), ("of Postgres", "cpu postgres", number),
    ("of Redis", "cpu redis", number), ("private MiB", "private", number), ("failures", "failures", number),
]  # fmt: skip
ANSWERS: list[Column] = [
    ("p50 ms", "p50", number), ("p99 ms", "p99", number), ("answers/s", "rate", number),
    ("failures", "failures", number), ("jobs left", "jobs left", number),
]  # fmt: skip
WHOLE_WAY: list[Column] = [
    ("flows/s", "rate", number), ("p50 ms", "p50", number), ("p99 ms", "p99", number),
    ("accepted/s", "accepted", number), ("failures", "failures", number),
]  # fmt: skip
PRICE: list[Column] = [
    ("per second", "rate", number), ("p99 ms", "p99", number), ("CPU ms", "cpu", number),
    ("Postgres log, MiB per 1,000", "wal", mib), ("Redis log, MiB per 1,000", "redis log", mib),
]  # fmt: skip
QUEUE = [
    ("enqueue, 100 callers (jobs/s)", "enqueue_single"),
    ("enqueue, batched (jobs/s)", "enqueue_bulk"),
    ("process, results off (jobs/s)", "process"),
    ("process, results kept (jobs/s)", "process_results"),
    ("process, 1,000 groups (jobs/s)", "process_groups"),
    ("pick-up when idle, p50 (ms)", "pickup_p50"),
    ("pick-up when idle, p99 (ms)", "pickup_p99"),
    ("CPU when idle (% of a core)", "idle_cpu"),
    ("memory, private (MiB)", "private"),
]
WORKERS = {
    "rate": "per second", "cpu": "CPU of the process, ms each", "cpu postgres": "CPU of Postgres, ms each",
    "statements": "statements each", "memory": "memory at most, MiB", "failures": "failures",
    "p99 alone": "p99 of a channel alone, ms", "p99 beside": "p99 beside the busy one, ms", "p99 ratio": "ratio",
    "all delivered after": "all delivered after the busy time, s", "dead letters": "dead letters",
    "count": "executions", "memory before": "memory before, MiB", "memory with them": "memory with them, MiB",
    "memory after a restart": "memory after a restart, MiB", "look": "look for what is due, ms",
}  # fmt: skip


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> str:
    """A Markdown table. The first columns have `words`, the others numbers."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * words + "---:|" * (len(head) - words)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def figures(result: PartResult, columns: Sequence[Column]) -> str:
    """A row for each subject. If two commits were measured, a subject has a row for each, and the ratio of the first
    column."""
    head = ["", *(title for title, _, _ in columns), "slowest to fastest 10 s"]
    rows = []
    for name, subject in result.subjects.items():
        rows.append([name, *cells(subject, columns), spread(subject)])
        if (base := result.base_subjects.get(name)) is not None:
            rows.append([f"the same at {result.base}", *cells(base, columns), spread(base)])
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    return table(head, rows)


def cells(subject: Subject, columns: Sequence[Column]) -> list[str]:
    """The medians of a subject."""
    return [write(subject.median(figure)) for _, figure, write in columns]


def spread(subject: Subject) -> str:
    """The lowest and the highest rate of ten seconds, over all rounds."""
    rates = [rate for one in subject.intervals for rate in one]
    return f"{number(min(rates))} to {number(max(rates))}" if rates else ""


def costs(result: PartResult) -> str:
    """What a thousand flows cost: CPU seconds of each process, and bytes of the stores."""
    names = list(result.subjects)
    written: list[tuple[str, str, Write]] = [
        *((f"CPU of {process}, s", f"cpu {process}", number) for process in PROCESSES),
        ("CPU in all, s", "cpu", number),
        ("Postgres log (WAL), MiB", "wal", mib),
        ("Postgres tables and indexes, MiB", "tables", mib),
        ("Redis log, MiB", "redis log", mib),
        ("Redis memory, MiB", "redis memory", mib),
    ]
    rows = []
    for title, figure, write in written:
        row = [title]
        for name in names:
            ours, base = result.subjects[name].median(figure), result.base_subjects.get(name, Subject()).median(figure)
            compared = times(ratio(ours, base))
            row.append(f"{write(ours)} (x{compared})" if compared else write(ours))
        rows.append(row)
    return table(["for each 1,000 flows", *names], rows)


def memory(result: PartResult) -> str:
    """The private memory of each process at the end of a measurement."""
    processes = [name for name in PROCESSES if name not in ("postgres", "redis")]
    rows = [
        [name, *(number(subject.median(f"private {process}")) for process in processes)]
        for name, subject in result.subjects.items()
    ]
    return table(["private memory, MiB", *processes], rows)


def queue(result: PartResult, ours: str = "filas") -> str:
    """The figures of all subjects. Each peer's figure has the ratio of ours to it."""
    rows = []
    for title, figure in QUEUE:
        own = result.subjects.get(ours, Subject()).median(figure)
        row = [title]
        for name, subject in result.subjects.items():
            value = subject.median(figure)
            compared = "" if name == ours else times(ratio(own, value))
            row.append(f"{number(value)} (x{compared})" if compared else number(value))
        rows.append(row)
    return table(["", *result.subjects], rows)


def prices(result: PartResult) -> str:
    """The figures without each guarantee, with their ratio to those with all of them."""
    rows = []
    for name, subject in result.subjects.items():
        whole = result.subjects.get(f"{name.partition(',')[0]}, all guarantees", Subject())
        faster = times(ratio(subject.median("rate"), whole.median("rate")))
        cheaper = times(ratio(subject.median("cpu"), whole.median("cpu")))
        rows.append([name, *cells(subject, PRICE), faster, cheaper])
    return table(["", *(title for title, _, _ in PRICE), "rate, times", "CPU, times"], rows)


def workers(result: PartResult) -> str:
    """Each figure of each subject, one below the other."""
    rows = [
        [f"{name}: {words}", number(subject.median(figure))]
        for name, subject in result.subjects.items()
        for figure, words in WORKERS.items()
        if figure in subject.figures
    ]
    return table(["", ""], rows)
