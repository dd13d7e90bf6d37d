"""OpenAPI documents: read, followed, compared, written. Pure: no clock, no database, no network."""

from portal.errors import Unreadable
from portal.openapi.values import Description, KeyScheme, Operation, Tag, Warning

__all__ = ["Description", "KeyScheme", "Operation", "Tag", "Unreadable", "Warning", "read"]


def read(data: bytes) -> Description:
    """See `reading.read`, which is loaded with all that it needs at the first document: nodes never see one."""
    from portal.openapi import reading

    return reading.read(data)
