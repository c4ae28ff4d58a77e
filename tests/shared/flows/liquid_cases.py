"""Cases of Liquid's standard filters, written from its documentation (https://shopify.github.io/liquid).

The format is that of the conformance suite golden-liquid: a template, its data, and the text that Liquid writes.
"""

from typing import Any, NamedTuple

PAGES = {
    "pages": [
        {"n": "a", "kind": "business", "price": 1, "on": True},
        {"n": "b", "kind": "sports", "price": 2.5, "on": False},
        {"n": "c", "kind": "business", "price": 3},
        {"n": "d", "kind": "tech", "price": None},
    ]
}
TOM = {"tom": "Ground control to Major Tom."}
NOTHING = {"none": None}


class Case(NamedTuple):
    """A template, the text that Liquid writes, and the data."""

    source: str
    text: str
    data: dict[str, Any] = {}  # noqa: RUF012 (never changed)


CASES: dict[str, list[Case]] = {
    "abs": [
        Case("{{ -17 | abs }}", "17"),
        Case("{{ 4 | abs }}", "4"),
        Case('{{ "-19.86" | abs }}', "19.86"),
        Case('{{ "abc" | abs }}', "0"),
        Case("{{ none | abs }}", "0", NOTHING),
    ],
    "append": [
        Case('{{ "/my/fancy/url" | append: ".html" }}', "/my/fancy/url.html"),
        Case('{{ none | append: "a" }}', "a", NOTHING),
        Case('{{ "a" | append: 5 }}', "a5"),
    ],
    "at_least": [
        Case("{{ 4 | at_least: 5 }}", "5"),
        Case("{{ 4 | at_least: 3 }}", "4"),
        Case('{{ "4" | at_least: 3 }}', "4"),
    ],
    "at_most": [Case("{{ 4 | at_most: 5 }}", "4"), Case("{{ 4 | at_most: 3 }}", "3")],
    "base64_decode": [Case('{{ "b25lIHR3byB0aHJlZQ==" | base64_decode }}', "one two three")],
    "base64_encode": [Case('{{ "one two three" | base64_encode }}', "b25lIHR3byB0aHJlZQ==")],
    "base64_url_safe_decode": [Case('{{ "Pz8_Pz8-" | base64_url_safe_decode }}', "?????>")],
    "base64_url_safe_encode": [Case('{{ "?????>" | base64_url_safe_encode }}', "Pz8_Pz8-")],
    "capitalize": [
        Case('{{ "title" | capitalize }}', "Title"),
        Case('{{ "my GREAT title" | capitalize }}', "My great title"),
        Case("{{ none | capitalize }}", "", NOTHING),
    ],
    "ceil": [
        Case("{{ 1.2 | ceil }}", "2"),
        Case("{{ 2.0 | ceil }}", "2"),
        Case("{{ 183.357 | ceil }}", "184"),
        Case('{{ "3.5" | ceil }}', "4"),
        Case("{{ -1.5 | ceil }}", "-1"),
    ],
    "compact": [
        Case('{{ pages | map: "price" | compact | join: "," }}', "1,2.5,3", PAGES),
        Case('{{ pages | compact: "price" | map: "n" | join: "," }}', "a,b,c", PAGES),
    ],
    "concat": [
        Case('{% assign b = "z" | split: ", " %}{{ "x, y" | split: ", " | concat: b | join: "-" }}', "x-y-z")
    ],
    "date": [
        Case('{{ "2015-07-17T12:00:00Z" | date: "%a, %b %d, %y" }}', "Fri, Jul 17, 15"),
        Case('{{ "2015-07-17" | date: "%Y" }}', "2015"),
        Case('{{ "March 14, 2016" | date: "%b %d, %y" }}', "Mar 14, 16"),
        Case('{{ "2016-03-14 10:05:06" | date: "%H:%M:%S %p %-I" }}', "10:05:06 AM 10"),
        Case('{{ 1152098955 | date: "%m/%d/%Y" }}', "07/05/2006"),
        Case('{{ "1152098955" | date: "%m/%d/%Y" }}', "07/05/2006"),
        Case('{{ "2006-07-05" | date: "" }}', "2006-07-05"),
        Case('{{ none | date: "%Y" }}', "", NOTHING),
        Case('{{ "2006-07-05" | date: "%% %j %u %e" }}', "% 186 3  5"),
    ],
    "default": [
        Case("{{ none | default: 2.99 }}", "2.99", NOTHING),
        Case("{{ price | default: 2.99 }}", "4.99", {"price": 4.99}),
        Case('{{ "" | default: 2.99 }}', "2.99"),
        Case("{{ missing | default: 2.99 }}", "2.99"),
        Case("{{ on | default: true }}", "true", {"on": False}),
        Case("{{ on | default: true, allow_false: true }}", "false", {"on": False}),
        Case("{{ 0 | default: 5 }}", "0"),
        Case('{{ list | default: "x" }}', "x", {"list": []}),
    ],
    "divided_by": [
        Case("{{ 16 | divided_by: 4 }}", "4"),
        Case("{{ 5 | divided_by: 3 }}", "1"),
        Case("{{ 20 | divided_by: 7 }}", "2"),
        Case("{{ 20 | divided_by: 7.0 }}", "2.857142857142857"),
        Case("{{ -7 | divided_by: 2 }}", "-4"),
        Case('{{ "10" | divided_by: "2" }}', "5"),
    ],
    "downcase": [Case('{{ "Parker Moore" | downcase }}', "parker moore"), Case('{{ "apple" | downcase }}', "apple")],
    "escape": [
        Case(
            """{{ "Have you read 'James & the Giant Peach'?" | escape }}""",
            "Have you read &#39;James &amp; the Giant Peach&#39;?",
        ),
        Case("""{{ '<a href="x">' | escape }}""", "&lt;a href=&quot;x&quot;&gt;"),
        Case('{{ "Tetsuro Takara" | escape }}', "Tetsuro Takara"),
    ],
    "escape_once": [
        Case('{{ "1 < 2 & 3" | escape_once }}', "1 &lt; 2 &amp; 3"),
        Case('{{ "1 &lt; 2 &amp; 3" | escape_once }}', "1 &lt; 2 &amp; 3"),
        Case("""{{ "it's" | escape_once }}""", "it&#39;s"),
    ],
    "find": [
        Case('{% assign x = pages | find: "kind", "business" %}{{ x.n }}', "a", PAGES),
        Case('{{ pages | find: "kind", "none" }}', "", PAGES),
    ],
    "find_index": [
        Case('{{ pages | find_index: "kind", "sports" }}', "1", PAGES),
        Case('{{ pages | find_index: "kind", "none" }}', "", PAGES),
    ],
    "first": [
        Case('{{ "apples, oranges" | split: ", " | first }}', "apples"),
        Case("{{ none | first }}", "", NOTHING),
        Case("{{ list | first }}", "", {"list": []}),
    ],
    "floor": [
        Case("{{ 1.2 | floor }}", "1"),
        Case("{{ 183.357 | floor }}", "183"),
        Case('{{ "3.5" | floor }}', "3"),
        Case("{{ -1.5 | floor }}", "-2"),
    ],
    "has": [
        Case('{{ pages | has: "kind", "tech" }}', "true", PAGES),
        Case('{{ pages | has: "kind", "x" }}', "false", PAGES),
    ],
    "join": [
        Case('{{ "John, Paul, George" | split: ", " | join: " and " }}', "John and Paul and George"),
        Case("{{ list | join }}", "1 2", {"list": [1, 2]}),
        Case('{{ none | join: "," }}', "", NOTHING),
    ],
    "last": [Case('{{ "apples, oranges" | split: ", " | last }}', "oranges"), Case("{{ none | last }}", "", NOTHING)],
    "lstrip": [Case('{{ "   So much room   " | lstrip }}!', "So much room   !")],
    "map": [Case('{{ pages | map: "kind" | join: " " }}', "business sports business tech", PAGES)],
    "minus": [
        Case("{{ 4 | minus: 2 }}", "2"),
        Case("{{ 183.357 | minus: 12 }}", "171.357"),
        Case('{{ "4" | minus: "x" }}', "4"),
    ],
    "modulo": [
        Case("{{ 3 | modulo: 2 }}", "1"),
        Case("{{ 24 | modulo: 7 }}", "3"),
        Case("{{ 183.357 | modulo: 12 }}", "3.357"),
        Case("{{ -10 | modulo: 3 }}", "2"),
    ],
    "newline_to_br": [Case("{{ text | newline_to_br }}", "a<br />\nb<br />\n", {"text": "a\nb\n"})],
    "plus": [
        Case("{{ 4 | plus: 2 }}", "6"),
        Case("{{ 183.357 | plus: 12 }}", "195.357"),
        Case('{{ "x" | plus: 2 }}', "2"),
        Case("{{ 0.1 | plus: 0.2 }}", "0.3"),
    ],
    "prepend": [Case('{{ "apples" | prepend: "Some fruit: " }}', "Some fruit: apples")],
    "reject": [Case('{{ pages | reject: "kind", "business" | map: "n" | join }}', "b d", PAGES)],
    "remove": [
        Case('{{ "I strained to see the train in the rain" | remove: "rain" }}', "I sted to see the t in the ")
    ],
    "remove_first": [
        Case(
            '{{ "I strained to see the train through the rain" | remove_first: "rain" }}',
            "I sted to see the train through the rain",
        )
    ],
    "remove_last": [
        Case('{{ "I strained to see the train" | remove_last: "rain" }}', "I strained to see the t"),
        Case('{{ "rain" | remove_last: "rain" }}', ""),
        Case('{{ "a" | remove_last: "x" }}', "a"),
    ],
    "replace": [
        Case('{{ "my pills and my helmet" | replace: "my", "your" }}', "your pills and your helmet"),
        Case('{{ "aba" | replace: "a" }}', "b"),
    ],
    "replace_first": [Case('{{ "my a my b" | replace_first: "my", "your" }}', "your a my b")],
    "replace_last": [
        Case('{{ "my a my b" | replace_last: "my", "your" }}', "my a your b"),
        Case('{{ "my" | replace_last: "my", "your" }}', "your"),
        Case('{{ "a" | replace_last: "x", "y" }}', "a"),
    ],
    "reverse": [Case('{{ "apples, oranges" | split: ", " | reverse | join: ", " }}', "oranges, apples")],
    "round": [
        Case("{{ 1.2 | round }}", "1"),
        Case("{{ 2.7 | round }}", "3"),
        Case("{{ 183.357 | round: 2 }}", "183.36"),
        Case("{{ 2.5 | round }}", "3"),
        Case("{{ -2.5 | round }}", "-3"),
        Case('{{ "x" | round }}', "0"),
    ],
    "rstrip": [Case('{{ "   So much room   " | rstrip }}!', "   So much room!")],
    "size": [
        Case("{{ tom | size }}", "28", TOM),
        Case('{{ "a, b, c, d" | split: ", " | size }}', "4"),
        Case("{{ none | size }}", "0", NOTHING),
    ],
    "slice": [
        Case('{{ "Liquid" | slice: 0 }}', "L"),
        Case('{{ "Liquid" | slice: 2 }}', "q"),
        Case('{{ "Liquid" | slice: 2, 5 }}', "quid"),
        Case('{{ "Liquid" | slice: -3, 2 }}', "ui"),
        Case('{{ "Liquid" | slice: 99 }}', ""),
        Case('{{ "John, Paul, George, Ringo" | split: ", " | slice: 1, 2 | join }}', "Paul George"),
    ],
    "sort": [
        Case(
            '{{ "zebra, octopus, giraffe, Sally Snake" | split: ", " | sort | join: ", " }}',
            "Sally Snake, giraffe, octopus, zebra",
        ),
        Case('{{ pages | sort: "price" | map: "n" | join }}', "a b c d", PAGES),
    ],
    "sort_natural": [
        Case(
            '{{ "zebra, octopus, giraffe, Sally Snake" | split: ", " | sort_natural | join: ", " }}',
            "giraffe, octopus, Sally Snake, zebra",
        )
    ],
    "split": [
        Case('{{ "John, Paul" | split: ", " | join: "-" }}', "John-Paul"),
        Case('{{ "abc" | split: "" | join: "-" }}', "a-b-c"),
        Case('{{ none | split: "," | size }}', "0", NOTHING),
        Case('{{ "a,b,," | split: "," | size }}', "2"),
        Case('{{ " a  b " | split: " " | join: "-" }}', "a-b"),
    ],
    "squish": [Case('{{ "  a   b  " | squish }}', "a b")],
    "strip": [Case('{{ "   So much room   " | strip }}!', "So much room!")],
    "strip_html": [
        Case('{{ "Have <em>you</em> read <strong>Ulysses</strong>?" | strip_html }}', "Have you read Ulysses?"),
        Case('{{ "a<script>x</script>b<style>y</style>c<!-- z -->d" | strip_html }}', "abcd"),
    ],
    "strip_newlines": [Case("{{ text | strip_newlines }}", "Hellothere", {"text": "\nHello\r\nthere\n"})],
    "sum": [
        Case("{{ list | sum }}", "6", {"list": [1, 2, 3]}),
        Case('{{ pages | sum: "price" }}', "6.5", PAGES),
        Case("{{ list | sum }}", "3", {"list": [1, "2", "x", None]}),
    ],
    "times": [
        Case("{{ 3 | times: 2 }}", "6"),
        Case("{{ 24 | times: 7 }}", "168"),
        Case("{{ 183.357 | times: 12 }}", "2200.284"),
    ],
    "truncate": [
        Case("{{ tom | truncate: 20 }}", "Ground control to...", TOM),
        Case('{{ tom | truncate: 25, ", and so on" }}', "Ground control, and so on", TOM),
        Case('{{ tom | truncate: 20, "" }}', "Ground control to Ma", TOM),
        Case("{{ tom | truncate: 100 }}", "Ground control to Major Tom.", TOM),
        Case('{{ "1234567" | truncate: 2 }}', "..."),
    ],
    "truncatewords": [
        Case("{{ tom | truncatewords: 3 }}", "Ground control to...", TOM),
        Case('{{ tom | truncatewords: 3, "--" }}', "Ground control to--", TOM),
        Case('{{ tom | truncatewords: 3, "" }}', "Ground control to", TOM),
        Case("{{ tom | truncatewords: 5 }}", "Ground control to Major Tom.", TOM),
    ],
    "uniq": [
        Case('{{ "ants, bugs, bees, bugs, ants" | split: ", " | uniq | join: ", " }}', "ants, bugs, bees"),
        Case('{{ pages | uniq: "kind" | map: "n" | join }}', "a b d", PAGES),
    ],
    "upcase": [Case('{{ "Parker Moore" | upcase }}', "PARKER MOORE")],
    "url_decode": [Case('{{ "%27Stop%21%27+said+Fred" | url_decode }}', "'Stop!' said Fred")],
    "url_encode": [
        Case('{{ "john@liquid.com" | url_encode }}', "john%40liquid.com"),
        Case('{{ "Tetsuro Takara" | url_encode }}', "Tetsuro+Takara"),
    ],
    "where": [
        Case('{{ pages | where: "kind", "business" | map: "n" | join }}', "a c", PAGES),
        Case('{{ pages | where: "on" | map: "n" | join }}', "a", PAGES),
    ],
}  # fmt: skip
"""By filter."""
