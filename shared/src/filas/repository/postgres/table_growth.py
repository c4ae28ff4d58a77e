"""Decides when tables have grown so much that statements need new plans.

A connection keeps the plan of a statement until the statistics of its tables change. A plan that was made for ten rows
may read a whole index, because that is the cheapest way then. It is kept until the next `analyze`, which autovacuum
runs a minute later at the earliest, or never if it is off. In that minute a busy system writes a hundred thousand rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CHECK_INTERVAL_S: Final = 2.0

# Below this number every plan is fast.
MIN_ROWS: Final = 100

# A plan for a thousand rows looks rows up by their keys, and so does one for ten million. A plan for fewer rows may
# read a whole index, until there are GROWTH times as many.
GROWTH: Final = 10

# The counters of the statistics system: reading them takes no lock on a table.
TABLE_ROWS: Final = """
select relname, n_live_tup + n_dead_tup as rows from pg_stat_user_tables where schemaname = current_schema()"""


class TableGrowth:
    """Compares the rows of tables with those for which the present plans were made."""

    def __init__(self) -> None:
        self._planned: dict[str, int] = {}

    def needs_new_plans(self, rows: Mapping[str, int]) -> bool:
        """Whether a table has at least MIN_ROWS rows and GROWTH times as many as when plans were made, at first none.
        If so, the plans are taken to be made for `rows` from now on. A table that has shrunk counts with its smaller
        number.
        """
        if any(number >= max(MIN_ROWS, GROWTH * self._planned.get(table, 0)) for table, number in rows.items()):
            self._planned = dict(rows)
            return True
        self._planned = {table: min(number, self._planned.get(table, 0)) for table, number in rows.items()}
        return False
