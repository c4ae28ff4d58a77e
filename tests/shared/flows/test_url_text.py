"""A value in an address is encoded for its place: it never changes the host, the level of the path or the fields."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from yarl import URL

from filas.flows.templates.template import TemplateError
from filas.flows.templates.url_text import render_url
from tests.long_form import examples

HOST = "https://api.example"

CASES: list[tuple[str, Any, str]] = [
    # No value, or a value that needs nothing.
    (HOST + "/a?b=1#c", "", HOST + "/a?b=1#c"),
    (HOST + "/c/{{ x }}/saldo", "55119", HOST + "/c/55119/saldo"),
    (HOST + "/c/{{ x }}/saldo", 7, HOST + "/c/7/saldo"),
    (HOST + "/c/{{ x }}/saldo", None, HOST + "/c//saldo"),
    # The path.
    (HOST + "/c/{{ x }}/saldo", "../admin?x=1#", HOST + "/c/..%2Fadmin%3Fx%3D1%23/saldo"),
    (HOST + "/c/{{ x }}/saldo", "a b/ç%2F", HOST + "/c/a%20b%2F%C3%A7%252F/saldo"),
    (HOST + "/c/{{ x }}", "..\\admin\r\n", HOST + "/c/..%5Cadmin%0D%0A"),
    (HOST + "/c/{{ x }}", "%2e%2e", HOST + "/c/%252e%252e"),
    (HOST + "/c/{{ x }}.json", "..", HOST + "/c/...json"),
    (HOST + "/c/v{{ x }}", "..", HOST + "/c/v.."),
    (HOST + "/c/{{ x }}", "a;b=1,c:d@e", HOST + "/c/a%3Bb%3D1%2Cc%3Ad%40e"),
    (HOST + "/c/{{ x }}", "\ud800", HOST + "/c/%3F"),
    (HOST + "/c/{{ x }}", ["a", 1], HOST + "/c/%5B%22a%22%2C1%5D"),
    ("https://{{ x }}/{{ x }}", "a.b", "https://a.b/a.b"),
    # The query and the fragment.
    (HOST + "?q={{ x }}", "a&admin=1#b", HOST + "?q=a%26admin%3D1%23b"),
    (HOST + "/?q={{ x }}&r=1", "a+b c=?/", HOST + "/?q=a%2Bb%20c%3D%3F%2F&r=1"),
    (HOST + "/?{{ x }}=1", "a=2&b", HOST + "/?a%3D2%26b=1"),
    (HOST + "/#{{ x }}", "a#b?c", HOST + "/#a%23b%3Fc"),
    (HOST + "/?a=/../{{ x }}", "..", HOST + "/?a=/../.."),
    # A JSON document in the query.
    (HOST + '/?where={"n":"{{ x }}"}&b={{ x }}', 'a"b&', HOST + '/?where={"n":"a%5C%22b%26"}&b=a%22b%26'),
    (HOST + "/?where=%7B%22n%22:{{ x }}%7D", "a", HOST + "/?where=%7B%22n%22:%22a%22%7D"),
    (HOST + '/?where={"n":{{ x }},"m":[{{ z }}]}', None, HOST + '/?where={"n":null,"m":[443]}'),
    # A filter that encodes already.
    (HOST + "/?q={{ x | url_encode }}", "a b&c", HOST + "/?q=a%20b%26c"),
    (HOST + "/c/{{ x | url_encode }}", "a/b+c", HOST + "/c/a%2Fb%2Bc"),
    (HOST + "/c/{{ x | url_encode | raw }}", "a b/", HOST + "/c/a+b%2F"),
    # `raw`.
    (HOST + "/{{ x | raw }}", "a/../b?c=1", HOST + "/a/../b?c=1"),
    (HOST + "{{ x | raw }}", "/a?c=1", HOST + "/a?c=1"),
    (HOST + "/?{{ x | raw }}&z={{ x }}", "a=1&b=2", HOST + "/?a=1&b=2&z=a%3D1%26b%3D2"),
    (HOST + "/{{ y | raw }}{{ x }}", "a&b", HOST + "/?q=a%26b"),
    # The value with which an address begins.
    ("{{ x }}", HOST + "/a b?c=1&d#e", HOST + "/a b?c=1&d#e"),
    ("{{ x | append: '/a?b' }}", HOST, HOST + "/a?b"),
    ("{{ x }}/c/{{ y }}", HOST, HOST + "/c/%3Fq%3D"),
    ("{{ x }}/c/{{ y }}", HOST + "/v1?a=", HOST + "/v1?a=/c/%3Fq%3D"),
    ("{{ x }}?a={{ y }}", HOST, HOST + "?a=%3Fq%3D"),
    ("{{ x }}://api.example/", "http", "http://api.example/"),
    ("{{ x }}.example:80/a", "https://api", "https://api.example:80/a"),
    ("{{ x }}clientes", HOST + "/", HOST + "/clientes"),
    # Addresses without a host.
    (
        "mailto:{{ x }}?subject={{ x }}",
        "ana@a.example&cc=b",
        "mailto:ana@a.example%26cc%3Db?subject=ana%40a.example%26cc%3Db",
    ),
    ("tel:{{ x }}", "+55 11 9;ext=1", "tel:+55%2011%209%3Bext%3D1"),
    ("tg://user?id={{ x }}", "1&a=2", "tg://user?id=1%26a%3D2"),
    # The placeholder of a secret in a test run.
    ("{{ x }}/c/{{ y }}", "secret:crm", "secret:crm/c/%3Fq%3D"),
    ("{{ x }}?c={{ y }}", "secret:crm-2", "secret:crm-2?c=%3Fq%3D"),
    ("https://{{ x }}/c", "secret:host", "https://secret:host/c"),
    ("https://{{ x }}.example/c", "secret:shop", "https://secret:shop.example/c"),
    # The host, the port, user name and password.
    ("https://{{ x }}/a", "api.example:8080", "https://api.example:8080/a"),
    ("https://{{ x }}/a", "[2001:db8::1]:80", "https://[2001:db8::1]:80/a"),
    ("https://{{ x }}?a", "münchen.example", "https://münchen.example?a"),
    ("https://{{ x }}.example/a", "loja-1", "https://loja-1.example/a"),
    ("https://{{ x }}.example/a", "a.b", "https://a.b.example/a"),
    ("https://{{ x }}-api.example/a", "eu", "https://eu-api.example/a"),
    ("https://api.{{ x }}/a", "example.com", "https://api.example.com/a"),
    ("https://api.example:{{ x }}/a", "8080", "https://api.example:8080/a"),
    ("https://{{ x }}:{{ x }}@api.example/", "a:b@c/d", "https://a%3Ab%40c%2Fd:a%3Ab%40c%2Fd@api.example/"),
    ("https://u:{{ x }}@api.example:{{ z }}/", "p#", "https://u:p%23@api.example:443/"),
]


@pytest.mark.parametrize(("source", "value", "address"), CASES, ids=[f"{case[0]} {case[1]!r}" for case in CASES])
def test_a_value_is_encoded_for_its_place(source: str, value: Any, address: str) -> None:
    assert render_url(source, {"x": value, "y": "?q=", "z": 443}) == address


REFUSED: list[tuple[str, str, str]] = [
    (HOST + "/c/{{ x }}/saldo", "..", 'url: a value in the path makes it "..", which is another level'),
    (HOST + "/c/{{ x }}", ".", "another level"),
    (HOST + "/c/.{{ x }}?a", ".", "another level"),
    (HOST + "/c/%2e{{ x }}#a", ".", "another level"),
    (HOST + "/c/{{ x | url_encode }}/", "..", "another level"),
    ("https://{{ x }}.example/", "evil.test/", 'url: a value in the host is "evil.test/", expected letters'),
    ("https://{{ x }}.example/", "evil.test#", "expected letters"),
    ("https://{{ x }}.example/", "evil.test?", "expected letters"),
    ("https://{{ x }}.example/", "evil.test\\", "expected letters"),
    ("https://{{ x }}.example/", "u@evil.test", "expected letters"),
    ("https://{{ x }}.example/", "evil.test:80", "expected letters"),
    ("https://{{ x }}.example/", "evil.test\uff0f", "expected letters"),
    ("https://{{ x }}.example/", "℀", "expected letters"),
    ("https://{{ x }}.example/", "a b", "expected letters"),
    ("https://{{ x }}/a", "api.example/b", "expected letters"),
    (HOST + "{{ x }}", ".evil.test", "write `/` before it"),
    (HOST + "{{ x }}", "y", "write `/` before it"),
    (HOST + "{{ x }}", "/a", "raw"),
    (HOST + "{{ x }}/", "@evil.test", "write `/` before it"),
    (HOST + "{{ x }}:80/", "y", "write `/` before it"),
    ("https://api.example:{{ x }}/", "80@evil.test", "expected digits"),
    ("https://api.example:{{ x }}/", "80/a", "expected digits"),
    ("{{ y }}{{ x }}", "y", "write `/` before it"),
    ("{{ y }}{{ x }}", "@evil.test", "write `/` before it"),
    ("{{ x }}://api.example/", "https://evil.test/?", "expected http or https"),
    ("{{ x }}://api.example/", "file", "expected http or https"),
    ("{{ x }}.example/a", "https://evil.test/", "expected a scheme and a host"),
    ("{{ x }}@api.example/a", "https://evil.test/", "expected a scheme and a host"),
    ("{{ x }}/c/{{ y }}", "api.example", "must begin with http:// or https://"),
]


@pytest.mark.parametrize(("source", "value", "message"), REFUSED, ids=[f"{case[0]} {case[1]!r}" for case in REFUSED])
def test_a_value_that_would_change_the_host_or_the_level_is_an_error(source: str, value: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render_url(source, {"x": value, "y": HOST})
    assert message in str(caught.value)


PLACES = [
    *("/c/{{ x }}/saldo", "/c/a{{ x }}{{ x }}", "/{{ x }}", "/?q={{ x }}&r=1", "/?{{ x }}=1", "/a#{{ x }}"),
    *("/c/{{ x | url_encode }}/d?q={{ x | url_encode }}", "/{{ x }}/{{ x }}?a={{ x }}#{{ x }}"),
]
VALUES = st.text(max_size=12) | st.text("./\\?#@:%&=;2eE5Ff \r\n", max_size=12)


@settings(max_examples=examples(400), deadline=None)
@given(place=st.sampled_from(PLACES), value=VALUES)
@example(place="/c/{{ x }}/saldo", value="../admin?x=1#")
def test_any_value_is_what_the_other_side_reads(place: str, value: str) -> None:
    """Read as the client sends it, the address has the same host, segments and fields as with a plain value."""
    try:
        address = render_url(HOST + place, {"x": value})
    except TemplateError:
        assert set(value) <= {"."}
        return
    sent, plain = URL(address), URL(render_url(HOST + place, {"x": "v"}))
    assert (sent.host, sent.port, sent.scheme, sent.user) == (plain.host, plain.port, plain.scheme, plain.user)
    segments, plain_segments = sent.raw_path.split("/"), plain.raw_path.split("/")
    text = value.encode(errors="replace").decode()
    assert [unquote(each) for each in segments] == [each.replace("v", text) for each in plain_segments]
    fields = parse_qsl(sent.raw_query_string, keep_blank_values=True)
    plain_fields = parse_qsl(plain.raw_query_string, keep_blank_values=True)
    assert fields == [(name.replace("v", text), item.replace("v", text)) for name, item in plain_fields]
    assert unquote(urlsplit(address).fragment) == unquote(urlsplit(str(plain)).fragment).replace("v", text)


@settings(max_examples=examples(200), deadline=None)
@given(
    place=st.sampled_from(
        ["https://{{ x }}.example/a", HOST + "{{ x }}/a", HOST + ":{{ x }}/a", "https://u:{{ x }}@api.example/a"]
    ),
    value=VALUES | st.text("evil.test/@:#?\\℀\uff0f。", max_size=12),
)
def test_no_value_changes_the_host(place: str, value: str) -> None:
    try:
        sent = URL(render_url(place, {"x": value}))
    except (TemplateError, ValueError):
        return
    assert (sent.host or "").endswith(".example")
    assert sent.raw_path == "/a"
