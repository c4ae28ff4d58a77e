"""The settings of Python's garbage collector in our processes."""

import gc


def collect_rarely() -> None:
    """Makes garbage collections rare. Call it when all modules are imported and all long-lived objects exist.

    A request or a job creates hundreds of objects and no reference cycles. With the default threshold of 700 objects,
    collections take 5 % of the time of a request and 17 % of the time of a short job, and a full collection delays the
    slowest answers by a visible time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
