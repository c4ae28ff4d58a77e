"""Cron expressions, intervals, written times and mail addresses: ticks that grow, or the documented error.

Input: the text in the first line, a time zone in the second one.
"""

from datetime import UTC, datetime
from itertools import islice

from filas.channels.invalid_content import InvalidContent
from filas.flows import locales
from filas.flows.timing import cron_meaning, moments
from notifier.channels import email_addresses
from tests.fuzz.target import unicode_of

WORDS = (
    "* * * * *", "0 0 31 2 *", "*/5", "L", "W", "#2", "MON-FRI", "@daily", "America/Sao_Paulo", "Europe/Lisbon",
    "UTC", "2026-11-27T12:00:00", "+03:00", "tomorrow", "now", "today", "10/11/2026", "Ana <a@b.example>",
    "a@b.example", ",", '"a, b" <', ";", "@é.example", "xn--", "59", "23", "12", "0 0 1 1 *", "Australia/Lord_Howe",
)  # fmt: skip
MAX_BYTES = 512
AFTER = datetime(2026, 2, 27, 23, 30, tzinfo=UTC)


def fuzz(data: bytes) -> None:
    """Reads the text as each of them."""
    line, _, rest = data.partition(b"\n")
    text, zone = unicode_of(line), unicode_of(rest)
    is_zone = locales.zone_problem(zone) is None
    problem = moments.cron_problem(text)
    list(cron_meaning.findings(text, zone if is_zone else None, AFTER))
    try:
        found = list(islice(moments.moments(text, zone if is_zone else None, AFTER), 5))
        assert problem is None
        assert found == sorted(set(found))
        assert all(moment > AFTER for moment in found)
    except ValueError:
        assert problem is not None
    if is_zone:
        try:
            assert moments.parse_moment(text, zone).tzinfo is not None
        except ValueError as error:
            assert len(str(error)) < 1000
    _check_mail(text)


def _check_mail(text: str) -> None:
    try:
        found = email_addresses.addresses(text, "to")
    except InvalidContent:
        return
    for one in found:
        one.header()
        assert one.domain.isascii()
        assert one.text.isprintable()
        (again,) = email_addresses.addresses(one.text, "to")
        assert again.text == one.text
