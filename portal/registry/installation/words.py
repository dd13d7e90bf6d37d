"""The smallest parts of an installation's files: slugs, references, instants, texts. Pure."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from portal.errors import Invalid
from portal.registry import networks
from portal.registry.document import SLUG, VERSION, Name

_REFERENCE = re.compile(rf"{SLUG.pattern}/{SLUG.pattern}/{VERSION.pattern}")
_CONSUMER_ID = re.compile(r"con_[a-z2-7]{16}")
_KEY_ID = re.compile(r"[0-9A-Za-z]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _of_form(form: re.Pattern[str], sentence: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(sentence)
        return text

    return check


def _utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("No such time exists in UTC.") from None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(networks.read(texts))
    except Invalid as error:
        raise ValueError(str(error)) from None


Slug = Annotated[str, AfterValidator(_of_form(SLUG, "Use small letters, digits and dashes, such as orders."))]
Version = Annotated[str, AfterValidator(_of_form(VERSION, "Use small letters, digits, dots and dashes, such as v1."))]
ApiReference = Annotated[
    str, AfterValidator(_of_form(_REFERENCE, "Name an API as team/slug/version, such as payments/orders/v1."))
]
ConsumerId = Annotated[
    str, AfterValidator(_of_form(_CONSUMER_ID, "The id of a consumer is con_ and 16 of a-z and 2-7. Leave it out."))
]
KeyId = Annotated[str, AfterValidator(_of_form(_KEY_ID, "The id of a key is the 12 characters after pco_."))]
Sha256 = Annotated[str, AfterValidator(_of_form(_SHA256, "A SHA-256 is written as 64 of 0-9 and a-f."))]
Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
Text = Annotated[str, AfterValidator(str.strip)]
Networks = Annotated[tuple[str, ...], AfterValidator(_networks)]
Line = Annotated[str, AfterValidator(_one_line)]
Label = Annotated[Line, Field(max_length=80)]

__all__ = [
    "ApiReference",
    "ConsumerId",
    "Instant",
    "KeyId",
    "Label",
    "Line",
    "Name",
    "Networks",
    "Sha256",
    "Slug",
    "Text",
    "Version",
]
