"""The statements of the index of words: the lease and the progress of its builder, the segments, and the events."""

from typing import Final

from filas.repository.postgres import paging
from filas.repository.search.event_words import TEXT_BYTES

CHUNK_ROWS: Final = 1000
CHUNK_BYTES: Final = 4 * 2**20

WORD_COLUMNS: Final = f"""id, received_at, webhook_id, substring(body from 1 for {TEXT_BYTES}) as body, content_type,
    left(query_params::text, 8192) as query_params, left(duplicate_key, 1024) as duplicate_key, group_key"""

_SIZE: Final = "octet_length(body)"


def _with_words(select: str, order: str) -> str:
    """A chunk of events with the columns of which their words are made, bounded in bytes."""
    return paging.within_bytes(" ".join(("select", WORD_COLUMNS, "from events", select)), _SIZE, order, CHUNK_BYTES)


# The builder has the lease, or gets it because it has expired.
ACQUIRE: Final = """
update search_progress set owner = $1, expires_at = clock_timestamp() + make_interval(secs => $2)
where owner = $1 or expires_at <= clock_timestamp()
returning owner"""

# Only for a lease that has not expired. It locks the row until the transaction ends.
RENEW: Final = """
update search_progress set expires_at = clock_timestamp() + make_interval(secs => $2)
where owner = $1 and expires_at > clock_timestamp()
returning next_no"""

PROGRESS: Final = """
select next_at, next_id, history_at, history_id, late_at, late_id, expires_at > clock_timestamp() as is_built
from search_progress"""

# The clock of Postgres; the oldest transaction that writes, and the first one that has not begun.
SNAPSHOT: Final = """
select clock_timestamp() as now, pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next"""

BEGIN: Final = """
update search_progress set next_at = $1, next_id = $2, history_at = $1, history_id = $2, late_at = $3, late_id = $2
where next_at is null"""

ADVANCE_NEXT: Final = "update search_progress set next_at = $1, next_id = $2"
ADVANCE_LATE: Final = "update search_progress set late_at = $1, late_id = $2"
ADVANCE_HISTORY: Final = "update search_progress set history_at = $1, history_id = $2"
NEXT_NO: Final = "update search_progress set next_no = next_no + 1 returning next_no - 1"

# $1, $2: the position. $3: the end. $4: how many.
READ_NEXT: Final = _with_words(
    "where (received_at, id) > ($1, $2) and received_at < $3 order by received_at, id limit $4", "received_at, id"
)
READ_HISTORY: Final = _with_words(
    "where (received_at, id) < ($1, $2) order by received_at desc, id desc limit $3", "received_at desc, id desc"
)
READ_MISSING: Final = _with_words("where id = any ($1::uuid[]) order by received_at, id", "received_at, id")

# The events that were processed after the position ($1, $2) and up to $3, in this order.
PROCESSED: Final = """
select id, received_at, processed_at from events
where processed_at >= $1 and (processed_at, id) > ($1, $2) and processed_at <= $3
order by processed_at, id limit $4"""

HEADS: Final = "select no, events, first_at, last_at from search_segments"

# The segments of a search: with events at $1 or later, and at $2 or earlier.
HEADS_BETWEEN: Final = """
select no, events, first_at, last_at from search_segments where last_at >= $1 and first_at <= $2"""

PLACES: Final = "select times, ids from search_segments where no = $1"
TIMES: Final = "select times from search_segments where no = $1"

# $2, $3: the first position and the number of events of a part.
PLACES_BETWEEN: Final = """
select substr(times, 1 + 8 * $2::integer, 8 * $3::integer) as times,
    substr(ids, 1 + 16 * $2::integer, 16 * $3::integer) as ids
from search_segments where no = $1"""

PLACES_AT: Final = """
select substr(s.times, 1 + 8 * p.place, 8) as times, substr(s.ids, 1 + 16 * p.place, 16) as ids
from search_segments s cross join unnest($2::integer[]) with ordinality as p (place, number)
where s.no = $1 order by p.number"""

# $1-$3: segments, and the first and the last word that are looked up in them. The part with the first word begins
# before it. One row for each part.
PARTS: Final = """
select a.number, p.words
from unnest($1::bigint[], $2::bytea[], $3::bytea[]) with ordinality as a (segment, low, high, number)
    cross join lateral (
        select w.words from search_words w
        where w.segment = a.segment and w.first < a.high
            and w.first >= coalesce((
                select max(b.first) from search_words b where b.segment = a.segment and b.first <= a.low), '')
        offset 0) p"""

ALL_PARTS: Final = """
select s.events, s.first_at, s.last_at, s.times, s.ids,
    (select array_agg(w.first order by w.first) from search_words w where w.segment = s.no) as firsts,
    (select array_agg(w.words order by w.first) from search_words w where w.segment = s.no) as words
from search_segments s where s.no = $1"""

WORD_BYTES: Final = """
select coalesce(sum(octet_length(words)), 0)::bigint from search_words where segment = any ($1::bigint[])"""

INSERT_SEGMENT: Final = """
insert into search_segments (no, events, first_at, last_at, times, ids) values ($1, $2, $3, $4, $5, $6)"""

INSERT_WORDS: Final = """
insert into search_words (segment, first, words)
select $1, first, words from unnest($2::bytea[], $3::bytea[]) as n (first, words)"""

DELETE_SEGMENTS: Final = "delete from search_segments where no = any ($1::bigint[])"
DELETE_WORDS: Final = "delete from search_words where segment = any ($1::bigint[])"

# The addresses of the contacts of whom $1 are addresses, or that have an address with an end in the ranges $2 to $3.
ADDRESSES: Final = """
with found as (
    select contact_id from contact_aliases where alias = any ($1::text[])
    union
    select a.contact_id from unnest($2::text[], $3::text[]) as r (first, last) cross join lateral (
        select contact_id from contact_aliases
        where reverse(alias) ~>=~ r.first and reverse(alias) ~<~ r.last limit $4) a
)
select distinct s.alias from found f cross join lateral (
    select alias from contact_aliases where contact_id = f.contact_id offset 0) s
limit $4"""

# The first event that is not in the index; how many there are, up to $3.
NOT_INDEXED: Final = """
select coalesce(extract(epoch from clock_timestamp() - min(received_at)), 0)::float8 as behind_s, count(*) as events
from (
    select received_at from events where (received_at, id) > ($1, $2) order by received_at, id limit $3) behind"""

COUNT_SEGMENTS: Final = """
select count(*) as segments, coalesce(sum(events), 0)::bigint as events from search_segments"""
