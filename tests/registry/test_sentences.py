import pytest

from portal.registry.sentences import first_sentence


@pytest.mark.parametrize(
    ("markdown", "sentence"),
    [
        ("# Pets\n\nHello **you** and [link](http://x.example). More.", "Hello you and link."),
        ("Version 1.2 of it, e.g. for cats. Then more.", "Version 1.2 of it, e.g. for cats."),
        ("<p>Cats &amp; dogs</p>", "Cats & dogs"),
        ("![logo](logo.png)\n\nReal text without an end", "Real text without an end"),
        ("- one\n- two", "one"),
        ("# Only a title", "Only a title"),
        ("订单管理系统。第二句。", "订单管理系统。"),
        ("```\ncode\n```", ""),
        ("", ""),
    ],
)
def test_the_first_sentence_is_plain_text(markdown, sentence):
    assert first_sentence(markdown) == sentence


def test_a_long_one_ends_at_a_word():
    said = first_sentence("word " * 100)

    assert len(said) <= 201
    assert said.endswith("word…")
