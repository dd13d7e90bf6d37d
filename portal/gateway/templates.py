"""Path templates as the key filter reads them: `GET /pets/\\1`, method and path without percent-encoding. Pure."""

from functools import lru_cache

from portal.traffic.operations import is_rest, pieces_of, segments_of

VARIABLE, REST = "\1", "\2"
"""Stand for a variable within a segment, and for one that takes all that is left of the path."""
NOTHING = "() "
"""An operation that no call is."""


@lru_cache(maxsize=20_000)
def template_of(method: str, path: str) -> str:
    segments = segments_of(path)
    made = []
    for n, segment in enumerate(segments, 1):
        if n == len(segments) and is_rest(segment):
            made.append(REST)
            continue
        pieces = pieces_of(segment)
        if any(VARIABLE in piece or REST in piece for piece in pieces):
            return NOTHING
        made.append(VARIABLE.join(pieces))
    return f"{method} /{'/'.join(made)}" if made and not set(method) & set(" \n") else NOTHING
