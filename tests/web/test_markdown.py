"""Markdown of strangers: it reads as it was meant, and does nothing."""

import pytest

from portal.web.markdown import LONGEST, html_of, line_of


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "<a href='javascript:alert(1)'>x</a>",
        "<div onclick=alert(1) style='position:fixed' id=main class=btn>x</div>",
        "<style>body{display:none}</style>",
        "<iframe src=//evil></iframe><object data=x></object><form action=x><input name=y></form>",
        "<svg><script>alert(1)</script></svg><math><mi href=javascript:alert(1)>",
        "![x](https://evil.example/track.png)",
        "<img src=https://evil.example/track.png>",
        "plain <script>alert(1)</script>",
        "</div></main><script>alert(1)</script>",
        "`<script>alert(1)</script>`",
        "| <script>alert(1)</script> |\n|---|\n| <b onmouseover=alert(1)>x</b> |",
    ],
)
@pytest.mark.parametrize("render", [html_of, line_of])
def test_nothing_that_acts_comes_through(render, text):
    html = str(render(text)).lower()

    for evil in ("<script", "<img", "<style", "<iframe", "<object", "<form", "<input", "<svg", "</div></main>"):
        assert evil not in html
    for evil in (' onclick="', " onerror=", " style=", " id=", " class=", 'href="javascript', 'href="data'):
        assert evil not in html.replace("&lt;img src=x onerror=alert(1)&gt;", "")


def test_links_leave_for_elsewhere_only():
    html = html_of("[out](https://example.com/a) [in](/settings) [there](#section)")

    assert '<a href="https://example.com/a" rel="noopener nofollow">out</a>' in html
    assert "/settings" not in html
    assert "#section" not in html


def test_picture_is_a_link_to_itself():
    assert html_of("![A cat](https://example.com/cat.png)") == (
        '<p><a href="https://example.com/cat.png" rel="noopener nofollow">A cat</a></p>\n'
    )
    assert "<a" not in html_of("![A cat](cat.png)")


def test_picture_in_a_link_leaves_the_link():
    html = html_of("[![Build](https://example.com/badge.svg)](https://example.com/build)")

    assert html.count("<a ") == 1
    assert "https://example.com/build" in html


def test_headings_begin_where_the_page_says_and_leave_none_out():
    html = html_of("# One\n\n### Two\n\n<h1>Three</h1>\n\n###### Four", 3)

    assert "<h3>One</h3>" in html
    assert "<h4>Two</h4>" in html
    assert "<h3>Three</h3>" in html
    assert "<h5>Four</h5>" in html


def test_tables_and_html_are_read_as_they_were_meant():
    assert "<td>1</td>" in html_of("| a |\n|---|\n| 1 |")
    assert html_of("<p>One</p><br>two") == "<p>One</p><br>two"
    assert "<s>gone</s>" in html_of("~~gone~~")


@pytest.mark.parametrize("text", ["- one", "1. one", "    code", "1) one", "+ one", "=== x"])
def test_what_looks_plain_may_be_a_list(text):
    assert ("<li>" in html_of(f"a:\n\n{text}")) == ("<li>" in html_of(text))


def test_plain_text_is_escaped():
    assert html_of("a \" b ' c") == "<p>a \" b ' c</p>"
    assert html_of("a & b < c") == "<p>a &amp; b &lt; c</p>\n"
    assert html_of("  ") == ""


def test_line_is_one_line():
    assert line_of("Some *words*.\n\nMore of them.") == "Some <em>words</em>."
    assert line_of("<p>One</p><p>Two</p>") == "OneTwo"


def test_long_text_is_cut_and_says_so():
    html = html_of("word " * (LONGEST // 5 + 10))

    assert len(html) < LONGEST + 500
    assert "This text is longer" in html


def test_many_links_stay_links():
    rows = "".join(f"| [{n}](https://a.example/{n}) |\n" for n in range(1_500))
    words = " ".join(f"[{n}](https://a.example/{n})" for n in range(900))

    assert html_of(f"| a |\n|---|\n{rows}").count("<a href") == 1_500
    assert html_of(words).count("<a href") == 900


def test_text_of_nothing_but_brackets_stays_as_it_is_written():
    html = html_of("![" * (LONGEST // 2) + "\n\nAnd *more*.")

    assert "![![" in html
    assert html_of("[" * 2_000 + "\n\nAnd *more*.").endswith("<p>And <em>more</em>.</p>\n")


@pytest.mark.parametrize("bad", ["[", "![", "*", "`a", "<", "> ", "- ", "|a", "[a](", "&", "\\", "_a", "~~a "])
def test_text_made_to_be_slow_ends(bad):
    assert html_of(bad * (20_000 // len(bad))) is not None
