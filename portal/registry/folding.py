"""Words as they are looked for, whatever their script: the same for both databases. Pure.

Case, diacritics and typographical forms are folded away. Where a script has no spaces between words, each two
neighbouring characters are a word. What is made here needs no tokenizer of a database: letters, digits and marks only.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache

MADE_BY = 1
"""Grows when the same text gives other words: what was indexed before is then indexed anew."""
MOST_ASKED = 8
_LONGEST_WORD = 40
_LONGEST_ASKED = 200
"""Characters of a search that are read."""

_NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
_NO_SPACES += "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"[{_NO_SPACES}]+|[^{_NO_SPACES}]+")
_UNSPACED = re.compile(f"[{_NO_SPACES}]")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_DIACRITIC = re.compile("[\u0300-\u036f]")
_WITHOUT_PARTS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})
"""Letters that Unicode takes for whole, and people type without their stroke."""


def words_of(*texts: str) -> list[str]:
    """What texts are found by: their words, each once; of `listPetOwners` also its parts."""
    return list(dict.fromkeys(word for text in texts for word in _indexed(text)))


def words_asked(text: str) -> list[str]:
    """What somebody looks for: at most 8 words, each of which may be the beginning of one. Empty when there is none."""
    found = dict.fromkeys(word for chunk in _chunks(text[:_LONGEST_ASKED]) for word in _runs(chunk, alone=False))
    return list(found)[:MOST_ASKED]


def _indexed(text: str) -> Iterator[str]:
    for chunk in _chunks(text):
        yield from _runs(chunk, alone=True)
        parts = _HUMP.split(chunk)
        if len(parts) > 1:
            for part in parts:
                yield from _runs(part, alone=True)


def _chunks(text: str) -> list[str]:
    return _letters().findall(unicodedata.normalize("NFKC", text))


def _runs(chunk: str, *, alone: bool) -> Iterator[str]:
    """`alone`: the last character of a run without spaces is a word, too, so that each can be found by itself."""
    for folded in _letters().findall(_fold(chunk)):
        if folded.isascii() or not _UNSPACED.search(folded):
            yield folded[:_LONGEST_WORD]
            continue
        for run in _RUN.findall(folded):
            if not _UNSPACED.match(run):
                yield run[:_LONGEST_WORD]
            else:
                yield from (run[at : at + 2] for at in range(len(run) - 1))
                if alone or len(run) == 1:
                    yield run[-1]


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    plain = _DIACRITIC.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return unicodedata.normalize("NFKC", plain).translate(_WITHOUT_PARTS)


@cache
def _letters() -> re.Pattern[str]:
    """One or more letters and digits, with the marks that belong to them: in many scripts a vowel is a mark."""
    marks = [at for at in range(0x300, 0xAC00) if unicodedata.category(chr(at)).startswith("M")]
    return re.compile(rf"(?:[^\W_]|[{''.join(_ranges(marks))}])+")


def _ranges(points: Iterable[int]) -> Iterator[str]:
    first = last = -1
    for point in points:
        if point != last + 1:
            if first >= 0:
                yield f"{chr(first)}-{chr(last)}"
            first = point
        last = point
    yield f"{chr(first)}-{chr(last)}"
