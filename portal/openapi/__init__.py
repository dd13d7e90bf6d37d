"""OpenAPI documents: read, followed, compared, written. Pure: no clock, no database, no network."""

from portal.errors import Unreadable
from portal.openapi.reading import read
from portal.openapi.values import Description, KeyScheme, Operation, Tag, Warning

__all__ = ["Description", "KeyScheme", "Operation", "Tag", "Unreadable", "Warning", "read"]
