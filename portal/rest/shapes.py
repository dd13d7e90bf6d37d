"""What bodies, answers and queries are made of."""

import base64
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from portal.errors import Invalid
from portal.web.intake import LARGEST_ID


class Asked(BaseModel):
    """What is sent to us: a field that does not exist is refused, not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Told(BaseModel):
    """What we answer. Fields may be added."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Listed(Told):
    """One page of a list; `items` follow in each kind of list."""

    next: str | None = None
    """The cursor of the next page; null on the last. `Link: rel="next"` has its whole address."""


def _utc(moment: datetime) -> datetime:
    # Beyond these, another zone's instant has no UTC date at all, or no database takes it.
    if not 1971 <= moment.year <= 9000:
        raise ValueError("Give a time between 1971 and 9000.")
    return moment.astimezone(UTC)


def _whole(value: Any) -> Any:
    """Of a query, where everything is text: no spaces, signs, points or underscores, which Python would read."""
    if isinstance(value, str) and not (value.isascii() and value.isdecimal() and len(value) < 16):
        raise ValueError("Give a whole number.")
    return value


def _flag(value: Any) -> Any:
    if isinstance(value, str) and value not in {"true", "false"}:
        raise ValueError("Give true or false.")
    return value


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
"""An instant that is sent to us, in any zone."""
Instant = Annotated[
    datetime, PlainSerializer(_instant, return_type=str), Field(json_schema_extra={"format": "date-time"})
]
"""An instant that we tell, in UTC."""
Number = Annotated[int, BeforeValidator(_whole)]
"""A whole number of a query."""
Flag = Annotated[bool, BeforeValidator(_flag)]
Name = Annotated[str, Field(min_length=1, max_length=80)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", examples=["orders"])]
"""In addresses: small letters, digits and dashes."""
Text = Annotated[str, Field(max_length=20_000)]
Label = Annotated[str, Field(max_length=80)]


class Paging(Asked):
    limit: Annotated[Number, Field(ge=1, le=100)] = 50
    """Rows of a page."""
    cursor: Annotated[str, Field(max_length=1000)] | None = None
    """`next` of the page before."""


class Search(Paging):
    q: Annotated[str, Field(max_length=200)] = ""
    """A part of a name."""


def cursor_of(*values: str | int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def read_cursor(text: str, *kinds: type) -> list[Any]:
    """What `cursor_of` was given. Raises Invalid for one that no page has given."""
    try:
        values = orjson.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except (ValueError, UnicodeError):
        values = None
    fits = (
        isinstance(values, list)
        and len(values) == len(kinds)
        and all(type(value) is kind for value, kind in zip(values, kinds, strict=True))
        and all(0 <= value <= LARGEST_ID if isinstance(value, int) else "\0" not in value for value in values)
    )
    if not fits:
        raise Invalid({"cursor": "No page has given this cursor. Begin again without it."})
    return list(values)
