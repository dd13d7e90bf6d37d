"""A column of words."""

from enum import StrEnum

from sqlalchemy import Enum


def words(kind: type[StrEnum], length: int) -> Enum:
    """A column of these words, as text that a later release may add to."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        length=length,
        values_callable=lambda words: [word.value for word in words],
    )
