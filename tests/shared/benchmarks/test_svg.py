"""The plots parse as SVG, whatever their words are, and can be read in both themes."""

import xml.etree.ElementTree as ET

from tests.benchmarks.report.svg import LABEL, WIDTH, Bar, bars, lines

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = """<script>alert("1")</script> & 'so' ]]>"""


def texts(svg: str) -> list[str]:
    """The texts of a plot."""
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_words_are_escaped() -> None:
    svg = bars(HOSTILE, HOSTILE, [Bar(HOSTILE, [1.0, 2.0])], [HOSTILE, "b"])
    assert HOSTILE in texts(svg)
    assert "<script" not in svg
    assert ET.fromstring(svg).get("aria-label") == f"{HOSTILE} ({HOSTILE})"
    assert HOSTILE in texts(lines(HOSTILE, "u", {HOSTILE: [1.0]}, 10))


def test_bars_are_in_proportion_and_inside_of_the_picture() -> None:
    """The parts of a bar follow each other."""
    svg = bars("Rates", "flows/s", [Bar("a", [100.0]), Bar("b", [25.0, 25.0]), Bar("none", [0.0])])
    found = [(float(one.get("x", "")), float(one.get("width", ""))) for one in ET.fromstring(svg).iter(f"{SVG}rect")]
    (whole, first, second, none) = found
    assert whole[1] == 2 * (first[1] + second[1])
    assert second[0] == first[0] + first[1]
    assert none[1] == 0
    assert all(x >= LABEL and x + width < WIDTH for x, width in found)
    assert {"100", "50", "0"} <= set(texts(svg))


def test_a_line_has_a_point_for_each_value() -> None:
    svg = lines("Rates", "flows/s", {"a": [10.0, 20.0, 5.0], "b": [1.0], "empty": []}, 10)
    points = [one.get("points", "").split() for one in ET.fromstring(svg).iter(f"{SVG}polyline")]
    assert [len(each) for each in points] == [3, 1, 0]
    assert {"10 s", "20 s", "30 s"} <= set(texts(svg))


def test_an_empty_plot_parses() -> None:
    assert texts(bars("Nothing", "u", [])) == ["Nothing (u)"]
    ET.fromstring(lines("Nothing", "u", {}, 10))


def test_the_text_has_a_colour_for_each_theme() -> None:
    svg = bars("Rates", "u", [])
    assert "prefers-color-scheme: dark" in svg
    assert svg.count("text { ") == 2
