"""The wait before the next attempt. Pure: the jitter is passed in."""


def exponential(attempt: int, *, base_s: float, rate: float = 2.0, cap_s: float = 3600.0, jitter: float = 1.0) -> float:
    """Returns the seconds to wait after the failed attempt number `attempt` (from 1).

    `min(cap_s, base_s * rate ** (attempt - 1)) * jitter`, with `jitter` in 0..1 (1: none).

    | attempt | base 2 s, rate 2 | with cap 5 s      |
    |---------|------------------|-------------------|
    | 1       | 2 s              | 2 s               |
    | 2       | 4 s              | 4 s               |
    | 3       | 8 s              | 5 s               |

    Raises ValueError for an attempt below 1.
    """
    if attempt < 1:
        raise ValueError(f"attempts count from 1, but `attempt` is {attempt}")
    # The exponent is limited, because a large one overflows a float. The cap is reached long before.
    wait: float = base_s * rate ** min(attempt - 1, 64)
    return min(cap_s, wait) * jitter
