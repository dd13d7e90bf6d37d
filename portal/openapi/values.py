"""What is known of an OpenAPI document once it is read."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Warning:
    """Something that is wrong in a document, and was read around."""

    pointer: str
    """JSON pointer (RFC 6901) into the document as it was given; "" is the document as a whole."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Tag:
    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    """At most 63 of `A-Za-z0-9._-`, unique in its document. The `operationId` where that is one and alone, otherwise
    made of method and path; the same document always gives the same ids."""
    method: str
    """In capitals."""
    path: str
    """As the document writes it, such as `/pets/{petId}`."""
    summary: str
    description: str
    tags: tuple[str, ...]
    deprecated: bool
    pointer: str
    """Of the operation object in the description's tree."""


@dataclass(frozen=True, slots=True)
class KeyScheme:
    """Where the document's own security schemes put a key."""

    place: Literal["header", "bearer", "query", "basic", "none"]
    """`basic` for user name and password; `none` where the document says that nothing is asked for."""
    name: str
    """Header or query parameter; `Authorization` for `bearer` and `basic`, empty for `none`."""


@dataclass(frozen=True, slots=True)
class Description:
    """An OpenAPI document that was understood."""

    version: str
    """As the document says: 2.0, 3.0.3, 3.1.0, 3.2.0 …"""
    title: str
    summary: str
    description: str
    api_version: str
    """`info.version`: a word of the document's author."""
    servers: tuple[str, ...]
    """With the defaults of variables put in. One that is relative stays relative."""
    tags: tuple[Tag, ...]
    operations: tuple[Operation, ...]
    """In the order of the document."""
    key: KeyScheme | None
    tree: dict[str, Any]
    """The whole document; one of version 2.0 in the form of 3.0.3."""
    warnings: tuple[Warning, ...]
