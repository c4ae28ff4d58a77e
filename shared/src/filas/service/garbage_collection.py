"""How a process of ours collects its garbage."""

import gc


def collect_rarely() -> None:
    """To be called when everything has been imported and made.

    A request or a job makes hundreds of objects and no cycles: looking for some every 700 is a twentieth of a request's
    time and a sixth of a short job's, and through all that was imported takes long enough to be seen in the slowest
    answers.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
