"""The statements that build rollups: the lease, the progress of the passes, the marks, and the buckets."""

from typing import Final

from filas.models.histograms import BUCKETS

COLUMNS: Final = tuple(f"h{bucket}" for bucket in range(BUCKETS))
_FIRST_HISTOGRAM: Final = 9
_PARTS: Final = {
    "histogram": ", ".join(COLUMNS),
    "sums": ", ".join(f"sum(r.{column})::bigint" for column in COLUMNS),
    "arrays": ", ".join(f"${_FIRST_HISTOGRAM + bucket}::bigint[]" for bucket in range(BUCKETS)),
    "of_source": "r.figure = f.figure and (f.subject is null or r.subject = f.subject)",
}


def _composed(statement: str) -> str:
    """The statement with the lists of columns that are too long to write."""
    return statement.format(**_PARTS)


NOW: Final = "select clock_timestamp()"

# The builder has the lease, or gets it because it has expired.
ACQUIRE: Final = """
update rollup_lease set owner = $1, expires_at = clock_timestamp() + make_interval(secs => $2)
where owner = $1 or expires_at <= clock_timestamp()
returning owner"""

# Only for a lease that has not expired: it locks the row until the buckets are written.
RENEW: Final = """
update rollup_lease set expires_at = clock_timestamp() + make_interval(secs => $2)
where owner = $1 and expires_at > clock_timestamp()
returning owner"""

PROGRESS: Final = "select pass, next_at, until_at from rollup_progress where source = $1"

INSERT_PROGRESS: Final = """
insert into rollup_progress (source, pass, next_at, until_at) values ($1, $2, $3, $4) on conflict do nothing"""

ADVANCE: Final = "update rollup_progress set next_at = $3 where source = $1 and pass = $2"

HAS_DAYS: Final = """
select exists (
    select from unnest($1::text[]) as f (figure)
        cross join lateral (select from rollups where resolution = 'day' and figure = f.figure limit 1) r)"""

MARKED: Final = """
select at, marked_at from rollup_marks where resolution = $1 and source = $2 order by at limit $3"""

MARK: Final = """
insert into rollup_marks (resolution, source, at, marked_at)
select $1::text, $2::text, at, clock_timestamp() from unnest($3::timestamptz[]) as m (at) order by at
on conflict (resolution, source, at) do update set marked_at = excluded.marked_at"""

# A bucket that was marked again since it was read stays marked.
UNMARK: Final = """
delete from rollup_marks m using unnest($3::timestamptz[], $4::timestamptz[]) as d (at, marked_at)
where m.resolution = $1 and m.source = $2 and m.at = d.at and m.marked_at = d.marked_at"""

# $2 and $3: the figures of the source, each with its only subject, or null.

DELETE: Final = _composed("""
delete from rollups r using unnest($2::text[], $3::text[]) as f (figure, subject)
where r.resolution = $1 and {of_source} and r.at = any ($4::timestamptz[])""")

# $2-$8: figure, at, subject, part, outcome, count and sum_ms. Then the buckets of the histogram.
INSERT: Final = _composed("""
insert into rollups (resolution, figure, at, subject, part, outcome, count, sum_ms, {histogram})
select $1::text, n.* from unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::bigint[],
    $8::float8[], {arrays}) as n
on conflict (resolution, figure, at, subject, part, outcome) do update set
    count = greatest(rollups.count, excluded.count)""")

# $4: the hour or day. $5: its end. $6: the resolution of its parts.
SUM_UP: Final = _composed("""
insert into rollups (resolution, figure, at, subject, part, outcome, count, sum_ms, {histogram})
select $1::text, r.figure, $4::timestamptz, r.subject, r.part, r.outcome, sum(r.count), sum(r.sum_ms), {sums}
from unnest($2::text[], $3::text[]) as f (figure, subject) join rollups r on {of_source}
where r.resolution = $6 and r.at >= $4 and r.at < $5
group by r.figure, r.subject, r.part, r.outcome""")
