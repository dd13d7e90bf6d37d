"""Markdown that somebody else wrote, as HTML that a page of ours may hold.

Authors write HTML in it too, so that is let through, and what no page should run or load is taken out afterwards:
scripts, styles, ids, pictures (they become links to themselves), addresses that are not http, https or mailto.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markupsafe import Markup

LONGEST = 100_000
"""Characters that are rendered; the rest of a longer text is left out, and the page says so."""
_LONGEST_KEPT = 2_000
"""Texts up to this length are remembered with what they became: fields and answers repeat theirs."""

_MOST_BRACKETS = 1_000
"""In one paragraph, heading or cell. To each that opens a link or picture the end is looked for, through all of the
others: 100 kB of `![` took 3 s. A table, a list or a page of links has each in a text of its own."""

_PLAIN = re.compile(r"[^\n*_`<>&#\[\]|~\\]*")
_LISTED = re.compile(r"\s*(?:[-+=]|\d+[.)]|\s{3})")
_HEADING_TAG = re.compile(r"<(/?)h([1-6])\b", re.IGNORECASE)
_TAGS = {
    *("a", "abbr", "b", "blockquote", "br", "code", "dd", "del", "details", "div", "dl", "dt", "em"),
    *("h2", "h3", "h4", "h5", "h6", "hr", "i", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "s", "samp"),
    *("small", "span", "strong", "sub", "summary", "sup"),
    *("table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul", "var"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}}

_reader = MarkdownIt("commonmark", {"html": True, "maxNesting": 20}).enable(["table", "strikethrough"])


def _read_inline(state: StateCore) -> None:
    """As markdown-it's own rule, but for texts that are all brackets: these stay as they are written."""
    for token in state.tokens:
        if token.type != "inline":
            continue
        token.children = []
        if token.content.count("[") > _MOST_BRACKETS:
            token.children.append(Token("text", "", 0, content=token.content))
        else:
            state.md.inline.parse(token.content, state.md, state.env, token.children)


_reader.core.ruler.at("inline", _read_inline)
_cleaner = nh3.Cleaner(
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    # What scrolls sideways is reached by keyboard too.
    set_tag_attribute_values={"pre": {"tabindex": "0"}},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener nofollow",
)


def html_of(text: str, level: int = 3) -> Markup:
    """`text` as HTML, its own highest headings as `<h{level}>`, the others below, none lower than 6."""
    text = text.strip()
    if not text:
        return Markup("")
    if len(text) < _LONGEST_KEPT:
        return _kept(text, level)
    return _rendered(text, level)


def line_of(text: str) -> Markup:
    """`text` as HTML that fits within a line of other text: its first paragraph."""
    first = text.strip().partition("\n\n")[0]
    html = str(html_of(first))
    inner = html.removeprefix("<p>").rstrip().removesuffix("</p>")
    return Markup(inner) if html.startswith("<p>") and "<p>" not in inner else Markup(nh3.clean(html, tags=set()))


@lru_cache(maxsize=4_096)
def _kept(text: str, level: int) -> Markup:
    return _rendered(text, level)


def _rendered(text: str, level: int) -> Markup:
    is_cut = len(text) > LONGEST
    if not is_cut and _PLAIN.fullmatch(text) and not _LISTED.match(text):
        # Most fields have such a text, and a page has hundreds of fields.
        return Markup(f"<p>{escape(text, quote=False)}</p>")
    tokens = _reader.parse(text[:LONGEST])
    for token in tokens:
        _without_pictures(token)
    _shift(tokens, level)
    html = _cleaner.clean(_reader.renderer.render(tokens, _reader.options, {}))
    return Markup(html + "<p>This text is longer. The OpenAPI document has all of it.</p>" if is_cut else html)


def _shift(tokens: Sequence[Token], level: int) -> None:
    """Headings begin at `level` and leave none out, whatever the author began with."""
    used = {int(token.tag[1]) for token in tokens if token.type == "heading_open"}
    raw = [part for token in tokens for part in (token, *(token.children or ())) if part.type.startswith("html_")]
    for part in raw:
        used |= {int(match[2]) for match in _HEADING_TAG.finditer(part.content)}
    becomes = {was: min(level + rank, 6) for rank, was in enumerate(sorted(used))}
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{becomes[int(token.tag[1])]}"
    for part in raw:
        part.content = _HEADING_TAG.sub(lambda match: f"<{match[1]}h{becomes[int(match[2])]}", part.content)


def _without_pictures(token: Token) -> None:
    """A picture would be fetched from elsewhere, by everybody who reads the page."""
    children: list[Token] = []
    within_link = 0
    for child in token.children or ():
        within_link += child.nesting if child.type in {"link_open", "link_close"} else 0
        if child.type != "image":
            children.append(child)
            continue
        words = Token("text", "", 0, content=child.content or "Picture")
        source = str(child.attrs.get("src", ""))
        if within_link or not source.startswith(("http://", "https://")):
            children.append(words)
        else:
            children += [Token("link_open", "a", 1, attrs={"href": source}), words, Token("link_close", "a", -1)]
    if token.children is not None:
        token.children = children
