"""The filters that Filas adds to Liquid or replaces, on the data that real systems and people send."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest

from filas.flows.author_settings import AuthorSettings, applied
from filas.flows.step_budget import shared_budget
from filas.flows.templates import template
from tests.cpu_costs import cpu_s

NOW = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)
BRAZIL = AuthorSettings("pt-BR", None, NOW)
SAO_PAULO = AuthorSettings("pt-BR", "America/Sao_Paulo", NOW)
ENGLISH = AuthorSettings("en-US", None, NOW)
SCOPE: dict[str, Any] = {
    "webhook": {"body": {"name": "Ana"}},
    "vars": {
        "none": None,
        "mixed": [3, None, "b", 1.5, "A", True, {"a": 1}, [2]],
        "people": [{"n": "x", "age": None}, {"age": 20}, {"n": "no age"}, {"age": 3}, {"age": "z"}],
        "some": [{"a": 1}, None, {"b": 2}],
        "names": ["bia", None, "Ana", "caio"],
        "ms": 1762338600123,
        "seconds": 1762338600.5,
        "cart": ["a"],
        "json": '{"a":[1,2.5,null]}',
        "n": 5,
        "zero": 0.0,
        "day": 20261105,
    },
}

VALUES: list[tuple[str, str, Any]] = [
    ("sort puts null last", "{{ vars.names | sort }}", ["Ana", "bia", "caio", None]),
    ("sort of mixed values", "{{ vars.mixed | sort }}", [1.5, 2, 3, "A", "b", True, {"a": 1}, None]),
    (
        "sort by a key that is null, missing or a text",
        "{{ vars.people | sort: 'age' }}",
        [{"age": 3}, {"age": 20}, {"age": "z"}, {"n": "x", "age": None}, {"n": "no age"}],
    ),
    ("sort_natural puts null last", "{{ vars.names | sort_natural }}", ["Ana", "bia", "caio", None]),
    ("sort of null", "{{ vars.none | sort }}", []),
    ("where with null among the items", "{{ vars.people | where: 'age', 20 }}", [{"age": 20}]),
    ("where on a list of numbers", "{{ vars.mixed | where: 'a', 1 }}", [{"a": 1}]),
    ("map with null among the items", "{{ vars.some | map: 'a' }}", [1, None, None]),
    ("map of null", "{{ vars.none | map: 'a' }}", []),
    ("reverse of null", "{{ vars.none | reverse }}", []),
    ("uniq of null", "{{ vars.none | uniq }}", []),
    ("sum with null and texts", "{{ vars.people | sum: 'age' }}", 23),
    ("sum of decimals is exact", "{{ '0.1 0.2' | split: ' ' | sum }}", 0.3),
    ("concat of null", "{{ vars.none | concat: vars.cart }}", ["a"]),
    # Dates.
    ("date of null", "{{ vars.none | date: '%d/%m/%Y' }}", ""),
    ("date of an empty text", "{{ '' | date: '%d/%m/%Y' }}", ""),
    ("date of seconds", "{{ 1762338600 | date: '%d/%m/%Y %H:%M' }}", "05/11/2025 10:30"),
    ("date of a fraction", "{{ vars.seconds | date: '%s.%L' }}", "1762338600.500"),
    ("date of milliseconds", "{{ vars.ms | date: '%d/%m/%Y %H:%M:%S.%L' }}", "05/11/2025 10:30:00.123"),
    ("date of a text of digits", "{{ '1762338600' | date: '%d/%m/%Y' }}", "05/11/2025"),
    ("date of a text of milliseconds", "{{ '1762338600123' | date: '%Y' }}", "2025"),
    ("date of a text with a fraction", "{{ '1762338600.5' | date: '%L' }}", "500"),
    ("date before 1970", "{{ -86400 | date: '%F' }}", "1969-12-31"),
    ("%s of a time with an offset", "{{ '2026-11-05T10:00:00-03:00' | date: '%s' }}", "1793883600"),
    ("%s of a time in UTC", "{{ '2026-11-05T13:00:00Z' | date: '%s' }}", "1793883600"),
    ("date without a time", "{{ '2026-11-05' | date: '%d/%m/%Y' }}", "05/11/2026"),
    ("date that is not shifted by a zone", "{{ '2026-11-05' | date: '%d', 'America/Sao_Paulo' }}", "05"),
    ("date with a blank before the time", "{{ '2026-11-05 10:30:00 -0300' | date: '%H:%M %z' }}", "10:30 -0300"),
    ("date keeps its offset", "{{ '2026-11-05T10:30:00+05:30' | date: '%H:%M %:z' }}", "10:30 +05:30"),
    ("date in a time zone", "{{ '2026-11-05T10:30:00Z' | date: '%H:%M', 'America/Sao_Paulo' }}", "07:30"),
    ("now in a time zone", '{{ "now" | date: "%H:%M", "America/Sao_Paulo" }}', "09:30"),
    ("today", "{{ 'today' | date: '%F' }}", "2026-11-27"),
    ("date of a mail header", "{{ 'Thu, 05 Nov 2026 10:30:00 GMT' | date: '%F %R' }}", "2026-11-05 10:30"),
    ("date with the month's name", "{{ 'March 14, 2016' | date: '%F' }}", "2016-03-14"),
    ("names of the locale", "{{ '2026-11-05' | date: '%A, %-d de %B de %Y' }}", "quinta-feira, 5 de novembro de 2026"),
    ("names of another locale", "{{ '2026-11-05' | date: '%A, %B %-d', 'UTC', 'en-US' }}", "Thursday, November 5"),
    ("date without a format", "{{ '2026-11-05' | date: '' }}", "2026-11-05"),
    ("flags of a directive", "{{ '2026-01-05' | date: '%e|%-m|%^b|%j|%%' }}", " 5|1|JAN.|005|%"),
    ("parse_date", '{{ "05/11/2026" | parse_date: "%d/%m/%Y" }}', "2026-11-05"),
    ("parse_date and date", '{{ "05/11/2026" | parse_date: "%d/%m/%Y" | date: "%-d de %B" }}', "5 de novembro"),
    ("parse_date of mm/dd", '{{ "11/05/2026" | parse_date: "%m/%d/%Y" }}', "2026-11-05"),
    ("parse_date with a short year", '{{ "5/11/26" | parse_date: "%d/%m/%y" }}', "2026-11-05"),
    ("parse_date with a time", '{{ "05/11/2026 14:30" | parse_date: "%d/%m/%Y %H:%M" }}', "2026-11-05T14:30:00+00:00"),
    (
        "parse_date in a time zone",
        '{{ "05/11/2026 14:30" | parse_date: "%d/%m/%Y %H:%M", "America/Sao_Paulo" }}',
        "2026-11-05T14:30:00-03:00",
    ),
    ("parse_date with names", '{{ "5 de NOVEMBRO de 2026" | parse_date: "%d de %B de %Y" }}', "2026-11-05"),
    ("parse_date with an accent", '{{ "1 de março de 2026" | parse_date: "%d de %B de %Y" }}', "2026-03-01"),
    ("parse_date with 12 hours", '{{ "11/05/2026 1:05 PM" | parse_date: "%m/%d/%Y %I:%M %p" | date: "%R" }}', "13:05"),
    ("parse_date of null", "{{ vars.none | parse_date: '%d/%m/%Y' }}", None),
    ("parse_date of digits", "{{ 20261105 | parse_date: '%Y%m%d' }}", "2026-11-05"),
    # Numbers and money.
    ("money", '{{ 1234.5 | money: "BRL" }}', "R$ 1.234,50"),
    ("money in another locale", '{{ 1234.5 | money: "USD", "en-US" }}', "$1,234.50"),
    ("money of a text", '{{ "1234.50" | money: "BRL" }}', "R$ 1.234,50"),
    ("money of a text with a comma", '{{ "1234,5" | money: "BRL" }}', "R$ 1.234,50"),
    ("money rounds a half up", '{{ 2.675 | money: "BRL" }}', "R$ 2,68"),
    ("money without decimals", '{{ 1234.5 | money: "JPY" }}', "JP¥ 1.235"),
    ("money below zero", '{{ -0.5 | money: "BRL" }}', "-R$ 0,50"),
    ("money of null", '{{ vars.none | money: "BRL" }}', ""),
    ("money in lower case", '{{ 1 | money: "brl" }}', "R$ 1,00"),
    ("number", "{{ 1234.5 | number }}", "1.234,5"),
    ("number with digits", "{{ 1234.5 | number: 2 }}", "1.234,50"),
    ("number without digits", "{{ 1234.5 | number: 0 }}", "1.235"),
    ("number in another locale", '{{ 1234.5 | number: 2, "en-US" }}', "1,234.50"),
    ("number with only a locale", '{{ 1234.5 | number: "en-US" }}', "1,234.5"),
    ("number that is large", "{{ 12345678901234567890 | number }}", "12.345.678.901.234.567.890"),
    ("number of null", "{{ vars.none | number }}", ""),
    ("round of a half", "{{ 2.5 | round }}", 3),
    ("round of a decimal", "{{ 2.675 | round: 2 }}", 2.68),
    ("round below zero", "{{ -2.5 | round }}", -3),
    ("arithmetic with a comma", "{{ '10,5' | times: 2 }}", 21),
    ("arithmetic with inf", "{{ 'inf' | plus: 1 }}", 1),
    ("arithmetic with nan", "{{ 'nan' | plus: 1 }}", 1),
    ("arithmetic with an underscore", "{{ '1_500' | plus: 1 }}", 1),
    ("arithmetic with null", "{{ vars.none | plus: 1 }}", 1),
    # Texts.
    ("parse_json", "{{ vars.json | parse_json }}", {"a": [1, 2.5, None]}),
    ("parse_json of a part", "{% assign x = vars.json | parse_json %}{{ x.a[1] }}", "2.5"),
    ("parse_json of a number beyond a double", """{{ '{"a":1E400}' | parse_json }}""", {"a": "1E400"}),
    ("parse_json of half of a pair", r"""{{ '["\ud83d",1]' | parse_json }}""", ["\ufffd", 1]),
    ("parse_json of an empty text", "{{ '' | parse_json }}", None),
    ("base64_decode without padding", "{{ 'Zm9vYg' | base64_decode }}", "foob"),
    ("arithmetic with true", "{{ true | plus: 2 }}", 2),
    ("money that rounds to nothing", "{{ -0.001 | money: 'BRL' }}", "R$ 0,00"),
    ("number that rounds to nothing", "{{ -0.4 | number: 0 }}", "0"),
    ("parse_date of digits", "{{ '20261105' | parse_date: '%Y%m%d' }}", "2026-11-05"),
    ("date of seconds that are no day", "{{ '20261405' | date: '%F' }}", "1970-08-23"),
    ("parse_json of null", "{{ vars.none | parse_json }}", None),
    ("parse_json of an object", "{{ vars.people[1] | parse_json }}", {"age": 20}),
    ("regex_match", "{{ 'CEP 01310-100' | regex_match: '[0-9]{5}-?[0-9]{3}' }}", "01310-100"),
    ("regex_match of a group", "{{ 'pedido 42' | regex_match: 'pedido ([0-9]+)' }}", "42"),
    ("regex_match of nothing", "{{ 'oi' | regex_match: '[0-9]' }}", None),
    ("regex_match of null", "{{ vars.none | regex_match: '[0-9]' }}", None),
    ("regex_replace", "{{ '123.456-7' | regex_replace: '[^0-9]', '' }}", "1234567"),
    ("regex_replace with a group", r"{{ 'Lima, Ana' | regex_replace: '(\w+), (\w+)', '\2 \1' }}", "Ana Lima"),
    ("regex_replace without a replacement", "{{ 'a1b2' | regex_replace: '[0-9]' }}", "ab"),
    ("sha256", "{{ 'a' | sha256 }}", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
    ("hmac_sha256", "{{ 'oi' | hmac_sha256: 'k' | size }}", 64),
    ("push", "{{ vars.cart | push: 'b' }}", ["a", "b"]),
    ("push to null", "{{ vars.none | push: vars.n }}", [5]),
    ("unaccent", "{{ 'Olá, coração' | unaccent }}", "Ola, coracao"),
    ("unaccent of decomposed text", "{{ 'a\u0303o' | unaccent }}", "ao"),
    ("digits", "{{ 'CPF 123.456.789-00' | digits }}", "12345678900"),
    ("digits of null", "{{ vars.none | digits }}", ""),
    ("phone", "{{ '(11) 90000-0002' | phone }}", "+5511900000002"),
    ("phone with its country", "{{ '+55 11 90000-0002' | phone }}", "+5511900000002"),
    ("phone without the plus", "{{ '5511900000002' | phone }}", "+5511900000002"),
    ("phone with a trunk digit", "{{ '011 90000-0002' | phone }}", "+5511900000002"),
    ("phone without the ninth digit", "{{ '11 9000-0002' | phone }}", "+5511990000002"),
    ("phone of another country", "{{ '(415) 555-2671' | phone: 'en-US' }}", "+14155552671"),
    ("phone of a number", "{{ 5511900000002 | phone }}", "+5511900000002"),
    ("phone of null", "{{ vars.none | phone }}", None),
    # A missing name in a test.
    ("missing in if", "{% if webhook.body.coupon %}yes{% else %}no{% endif %}", "no"),
    ("missing in unless", "{% unless webhook.body.coupon %}no{% endunless %}", "no"),
    ("missing in elsif", "{% if false %}a{% elsif webhook.body.coupon %}b{% else %}c{% endif %}", "c"),
    ("missing below a missing name", "{% if webhook.body.a.b.c %}yes{% else %}no{% endif %}", "no"),
    ("missing is equal to no text", "{% if webhook.body.coupon == 'X' %}yes{% else %}no{% endif %}", "no"),
    ("missing differs from a text", "{% if webhook.body.coupon != 'X' %}yes{% else %}no{% endif %}", "yes"),
    ("missing is blank", "{% if webhook.body.coupon == blank %}yes{% else %}no{% endif %}", "yes"),
    ("missing is null", "{% if webhook.body.coupon == nil %}yes{% else %}no{% endif %}", "yes"),
    ("null is blank", "{% if vars.none != blank %}yes{% else %}no{% endif %}", "no"),
    ("missing is not more than a number", "{% if webhook.body.total > 10 %}yes{% else %}no{% endif %}", "no"),
    ("missing contains nothing", "{% if webhook.body.tags contains 'a' %}yes{% else %}no{% endif %}", "no"),
    ("missing in and, or", "{% if webhook.body.a or webhook.body.name and true %}yes{% endif %}", "yes"),
    ("missing in case", "{% case webhook.body.a %}{% when 'x' %}yes{% else %}no{% endcase %}", "no"),
    ("missing that was assigned", "{% assign x = webhook.body.a %}{% if x %}yes{% else %}no{% endif %}", "no"),
    ("missing with default", "{{ webhook.body.coupon | default: 'none' }}", "none"),
]
FAILURES: list[tuple[str, str, str]] = [
    (
        "a date whose day and month may be exchanged",
        "{{ '05/11/2026' | date: '%d/%m/%Y' }}",
        'date: "05/11/2026" is a date whose day and month may be exchanged: write parse_date: "%d/%m/%Y" before date',
    ),
    ("the same with a day above 12", "{{ '25/11/2026' | date: '%F' }}", 'write parse_date: "%d/%m/%Y" before date'),
    ("the same with hyphens", "{{ '05-11-2026' | date: '%F' }}", 'write parse_date: "%d/%m/%Y" before date'),
    ("the same with dots", "{{ '5.11.26 10:00' | date: '%F' }}", 'write parse_date: "%d/%m/%Y" before date'),
    ("a date without a year", "{{ '05/11' | date: '%F' }}", 'write parse_date: "%d/%m/%Y" before date'),
    ("a date that does not exist", "{{ '2026-02-30' | date: '%F' }}", "date: expected a time such as 2026-11-05T10:30"),
    ("a time without a date", "{{ '10:30' | date: '%R' }}", 'found "10:30"'),
    ("a weekday", "{{ 'Monday' | date: '%F' }}", 'found "Monday"'),
    ("a zone with two meanings", "{{ '05 Nov 2026 10:00 IST' | date: '%F' }}", "date: expected a time"),
    ("a text that is no date", "{{ webhook.body.name | date: '%F' }}", 'found "Ana"'),
    ("a number beyond all years", "{{ 1e20 | times: 1 | date: '%F' }}", "undefined"),
    ("an object as a date", "{{ vars.people[1] | date: '%F' }}", 'found the object {"age":20}'),
    ("a boolean as a date", "{{ true | date: '%F' }}", "found true"),
    ("an unknown directive", "{{ vars.ms | date: '%Q' }}", "and `%Q` is none"),
    ("an unknown time zone", "{{ vars.ms | date: '%F', 'Brasilia' }}", "'Brasilia' is not a time zone such as"),
    ("an unknown locale", "{{ vars.ms | date: '%F', 'UTC', 'xx' }}", "'xx' is not a locale such as pt-BR"),
    (
        "a date in another form",
        "{{ '2026-11-05' | parse_date: '%d/%m/%Y' }}",
        'parse_date: expected a date in the form %d/%m/%Y, found "2026-11-05"',
    ),
    ("a day that does not exist", "{{ '31/02/2026' | parse_date: '%d/%m/%Y' }}", 'found "31/02/2026"'),
    ("a format without a year", "{{ '05/11' | parse_date: '%d/%m' }}", "the format %d/%m has no year"),
    ("a directive that is not read", "{{ 'x' | parse_date: '%d/%m/%Y %j' }}", "cannot read %j; known are %d, "),
    ("a format that states the day twice", "{{ 'x' | parse_date: '%d%d/%m/%Y' }}", "states the day twice"),
    (
        "money of a name",
        "{{ webhook.body.name | money: 'BRL' }}",
        "money: expected a number without thousands separator",
    ),
    ("money of an unclear text", "{{ '1.500' | money: 'BRL' }}", 'such as 1234.5, found "1.500"'),
    ("money of a boolean", "{{ true | money: 'BRL' }}", "found true"),
    ("money of inf", "{{ 'inf' | money: 'BRL' }}", 'found "inf"'),
    ("an unknown currency", "{{ vars.n | money: 'R$' }}", 'money: expected a currency such as BRL or USD, found "R$"'),
    ("too many digits", "{{ vars.n | number: 50 }}", "number: expected a number of digits from 0 to 20, found 50"),
    ("text that is no JSON", "{{ webhook.body.name | parse_json }}", 'parse_json: expected JSON, found "Ana"'),
    ("Base64 that is none", "{{ 'Olá' | base64_decode }}", "base64_decode: expected Base64 of a text in UTF-8"),
    (
        "Base64 of bytes",
        "{{ '/w==' | base64_decode }}",
        'base64_decode: expected Base64 of a text in UTF-8, found "/w=="',
    ),
    ("Base64 of bytes in an address", "{{ '_w' | base64_url_safe_decode }}", "base64_url_safe_decode: expected Base64"),
    ("a rest of a decimal by zero", "{{ 7.5 | modulo: vars.zero }}", "modulo: cannot divide by 0"),
    ("a rest by a text", "{{ 7.5 | modulo: webhook.body.name }}", "modulo: cannot divide by 0"),
    ("a missing item of a list", "{{ vars.cart[99] }}", "a list has no item at this place"),
    ("contains of a number", "{% if vars.n contains 5 %}{% endif %}", "contains: expected a text, a list or an object"),
    ("the name of a filter", "{{ vars.n | json: vars.n }}", "json has too many arguments"),
    ("a named argument", "{{ vars.n | upcase: first: 1 }}", "upcase has no argument named first"),
    (
        "the last year",
        "{{ '9999-12-31T23:00:00Z' | date: '%d', 'Asia/Tokyo' }}",
        "date: expected a time in the years 1 to",
    ),
    (
        "the first year",
        "{{ '0001-01-01T00:00:00Z' | date: '%d', 'America/Lima' }}",
        "date: expected a time in the years",
    ),
    (
        "digits that may be a day",
        "{{ '20261105' | date: '%d/%m/%Y' }}",
        'date: "20261105" may be a date or seconds since 1970: write parse_date: "%Y%m%d" before date',
    ),
    ("a number that may be a day", "{{ vars.day | date: '%F' }}", 'write parse_date: "%Y%m%d" before date'),
    (
        "digits that may be a time",
        "{{ '20261105103000' | date: '%F' }}",
        'write parse_date: "%Y%m%d%H%M%S" before date',
    ),
    ("an invalid pattern", "{{ vars.n | regex_match: '(' }}", "regex_match: invalid RE2 pattern: missing"),
    ("a group that the pattern has not", r"{{ 'a' | regex_replace: 'a', '\1' | append: vars.nope }}", "undefined"),
    ("an empty key", "{{ 'a' | hmac_sha256: '' }}", 'hmac_sha256: expected a key, found ""'),
    ("map of texts", "{{ vars.names | map: 'a' }}", 'map: expected a list of objects, found "bia"'),
    ("push to a text", "{{ webhook.body.name | push: 1 }}", 'push: expected a list, found "Ana"'),
    ("too short a phone number", "{{ '9000-0002' | phone }}", "(BR has no such number)"),
    ("a text that is no phone number", "{{ webhook.body.name | phone }}", "phone: expected a phone number such as +55"),
    ("a missing name in a filter", "{{ webhook.body.total | money: 'BRL' }}", "webhook.body.total is undefined"),
    ("a missing name as an argument", "{{ vars.n | plus: webhook.body.total }}", "webhook.body.total is undefined"),
    ("a missing name that is written", "{% if true %}{{ webhook.body.total }}{% endif %}", "total is undefined"),
]

CONSTANTS: list[tuple[str, str]] = [
    ("{{ vars.ms | date: '%Q' }}", "`%Q`"),
    ("{{ vars.ms | date }}", "date: expected at least 1 argument, found 0"),
    ("{{ vars.ms | date: '%d', 'Mars/Olympus' }}", "time zone"),
    ("{{ vars.ms | date: '%d', 'UTC', 'xx' }}", "locale"),
    ("{{ '05/11/2026' | date: '%d' }}", "parse_date"),
    ("{{ vars.n | parse_date: '%m/%Y' }}", "has no day"),
    ("{{ vars.n | money }}", "money: expected at least 1 argument, found 0"),
    ("{{ vars.n | money: 'REAL' }}", "currency"),
    ("{{ vars.n | money: 'BRL', 'pt_XX' }}", "locale"),
    ("{{ vars.n | number: -1 }}", "digits"),
    ("{{ vars.n | number: 2, 'xx' }}", "locale"),
    ("{{ vars.n | regex_match: '(' }}", "RE2"),
    ("{{ vars.n | regex_match: '' }}", "RE2"),
    ("{{ vars.n | regex_replace: '[', 'a' }}", "RE2"),
    (r"{{ vars.n | regex_replace: '(a)', '\2' }}", "group 2"),
    ("{{ vars.n | hmac_sha256: '' }}", "key"),
    ("{{ vars.n | phone: 'xx' }}", "locale"),
    ("{{ vars.n | divided_by: 0 }}", "divide by 0"),
    ("{{ vars.n | modulo: 0 }}", "divide by 0"),
    ("{{ vars.n | plus: 'abc' }}", "a number"),
    ("{{ vars.n | truncate: 'abc' }}", "a whole number"),
    ("{{ vars.n | slice: 1.5 }}", "a whole number"),
    ("{{ vars.n | round: 'x' }}", "a whole number"),
    ("{{ vars.cart | concat: 'a' }}", "a list to add"),
    ("{{ vars.n | append: 'a', 'b' }}", "append: expected at most 1 argument, found 2"),
    ("{{ vars.n | upcase: 1 }}", "upcase: expected at most no arguments, found 1"),
    ("{{ vars.n | default: 1, allow: true }}", "default has no argument named `allow`"),
    ("{{ 'a' | parse_json }}", "JSON"),
    ("{% assign x = vars.n | money: 'REAL' %}", "currency"),
    ("{% if vars.n %}{% for i in vars.cart %}{{ i | date: '%Q' }}{% endfor %}{% endif %}", "`%Q`"),
    ("{{ vars.n | default: 'x' | date: '%Q' | upcase }}", "`%Q`"),
]
ACCEPTED = [
    "{{ vars.n | default: 0, allow_false: true }}",
    "{{ vars.n | money: vars.currency }}",
    "{{ vars.n | date: vars.format, vars.zone }}",
    "{{ '10,5' | number: 2 }}",
    "{{ 'now' | date: '%s' | minus: 3600 | date: '%F' }}",
    "{{ vars.n | slice: 1 }}",
    "{{ vars.n | truncate: 10, '' }}",
    "{{ vars.n | number: 'en-US' }}",
    "{{ vars.n | plus: '10,5' }}",
]


@pytest.mark.parametrize(("source", "value"), [row[1:] for row in VALUES], ids=[row[0] for row in VALUES])
def test_a_filter_or_a_test_returns_the_value(source: str, value: Any) -> None:
    with applied(BRAZIL):
        assert template.parse(source).evaluate(SCOPE) == value


@pytest.mark.parametrize(("source", "message"), [row[1:] for row in FAILURES], ids=[row[0] for row in FAILURES])
def test_a_filter_that_does_not_work_states_what_it_found_and_expected(source: str, message: str) -> None:
    with applied(BRAZIL), pytest.raises(template.TemplateError) as failure:
        template.parse(source).evaluate(SCOPE)
    assert message in str(failure.value)


@pytest.mark.parametrize(("source", "words"), CONSTANTS)
def test_a_constant_argument_that_never_works_is_found_at_publication(source: str, words: str) -> None:
    with pytest.raises(template.TemplateError) as failure:
        template.parse(source).check_constants()
    assert words in str(failure.value)


@pytest.mark.parametrize("source", ACCEPTED)
def test_an_argument_that_may_work_is_accepted_at_publication(source: str) -> None:
    template.parse(source).check_constants()


@pytest.mark.parametrize(
    ("settings", "source", "text"),
    [
        (ENGLISH, "{{ 1234.5 | number: 2 }}", "1,234.50"),
        (ENGLISH, "{{ 1234.5 | money: 'USD' }}", "$1,234.50"),
        (ENGLISH, "{{ '1.500' | money: 'USD' }}", "$1.50"),
        (ENGLISH, "{{ '2026-11-05' | date: '%B' }}", "November"),
        (SAO_PAULO, "{{ 'now' | date: '%H:%M' }}", "09:30"),
        (SAO_PAULO, "{{ 1762338600 | date: '%H:%M %z' }}", "07:30 -0300"),
        (SAO_PAULO, "{{ '2026-11-05T10:00:00' | date: '%H:%M %z' }}", "10:00 -0300"),
        (SAO_PAULO, "{{ '2026-11-05 14:30' | date: '%H:%M', 'UTC' }}", "17:30"),
        (SAO_PAULO, "{{ '05/11/2026 14:30' | parse_date: '%d/%m/%Y %H:%M' }}", "2026-11-05T14:30:00-03:00"),
    ],
)
def test_filters_use_the_locale_and_the_time_zone_of_the_flow(settings: AuthorSettings, source: str, text: str) -> None:
    with applied(settings):
        assert template.render_text(source, SCOPE) == text


def test_an_error_shows_no_part_of_a_secret() -> None:
    secret = "s" * 100
    hiding = AuthorSettings("pt-BR", None, NOW, lambda text: text.replace(secret, "[redacted]"))
    with applied(hiding), pytest.raises(template.TemplateError) as failure:
        template.parse("{{ vars.token | money: 'BRL' }}").evaluate({"vars": {"token": f"Bearer {secret}"}})
    assert '"Bearer [redacted]"' in str(failure.value)


def test_an_error_shows_the_first_80_characters() -> None:
    with pytest.raises(template.TemplateError) as failure:
        template.parse("{{ vars.long | money: 'BRL' }}").evaluate({"vars": {"long": "a" * 500}})
    assert f'"{"a" * 80}…"' in str(failure.value)


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in (1..10000) %}{{ vars.ms | date: '%c %c %c %c %c %c' }}{% endfor %}",
        "{% for i in (1..10000) %}{{ 'November 5, 2026' | date: '%F' }}{% endfor %}",
        "{% for i in (1..10000) %}{{ i | money: 'BRL' }}{{ i | number: 2 }}{% endfor %}",
        "{% for i in (1..10000) %}{{ vars.long | unaccent | digits }}{% endfor %}",
        "{% for i in (1..10000) %}{{ vars.long | regex_replace: 'a', 'b' }}{% endfor %}",
        "{% for i in (1..10000) %}{{ '05/11/2026' | parse_date: '%d/%m/%Y' }}{% endfor %}",
    ],
)
def test_filters_are_bounded_by_the_step_budget(source: str) -> None:
    def render() -> None:
        with shared_budget(), contextlib.suppress(template.TemplateError):
            template.parse(source).evaluate({"vars": SCOPE["vars"] | {"long": "á" * 10_000}})

    assert cpu_s(render, 0.5) < 0.5
