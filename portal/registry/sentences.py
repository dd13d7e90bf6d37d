"""The first sentence of a Markdown text, for lists. Pure."""

import html
import re
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_LONGEST_READ = 4_000
_SENTENCE = re.compile(r".{8,}?[.!?](?=\s[^a-z]|$)|.{4,}?[。！？]")
_TAG = re.compile(r"<[^<>]{0,300}>")


def first_sentence(markdown: str, longest: int = 200) -> str:
    """Of the first paragraph, as plain text; of a text without one, whatever it says first. '' when it says nothing."""
    blocks = _reader().parse(markdown[:_LONGEST_READ])
    paragraphs = [after for before, after in pairwise(blocks) if before.type == "paragraph_open"]
    for block in (*paragraphs, *blocks):
        said = " ".join(_plain(block).split())
        if said:
            found = _SENTENCE.match(said)
            return _cut(found[0] if found else said, longest)
    return ""


@cache
def _reader() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # nodes, which load this room, need no such sentences

    return MarkdownIt("commonmark").enable("table")


def _plain(block: "Token") -> str:
    if block.type == "html_block":
        return html.unescape(_TAG.sub(" ", block.content))
    return "".join(map(_of_inline, block.children or ()))


def _of_inline(token: "Token") -> str:
    match token.type:
        case "text" | "code_inline":
            return token.content
        case "softbreak" | "hardbreak" | "html_inline":
            return " "
        case "image":
            return ""
    return ""


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    head = text[:longest]
    return (head.rpartition(" ")[0] if " " in head[longest // 2 :] else head).rstrip(" ,;:") + "…"
