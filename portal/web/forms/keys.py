"""Forms of keys: a new one, what one may do, its rotation, a report of a leak."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from wtforms import (
    BooleanField,
    DateField,
    HiddenField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import Length
from wtforms.widgets import CheckboxInput, ListWidget

from portal.errors import Invalid
from portal.registry import networks
from portal.registry.keys import Restrictions
from portal.registry.models import Key, KeyKind, Subscription
from portal.web.forms import Form, choices, one_line, stripped
from portal.web.forms.born import Ending

MOST_OFFERED = 200
"""Operations of one API that the form lists; others are chosen by the REST API."""


_ENDS = {
    "never": "Never",
    "7": "In 7 days",
    "30": "In 30 days",
    "90": "In 90 days",
    "365": "In a year",
    "date": "After a date",
}


class ChecksField(SelectMultipleField):
    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


@dataclass(frozen=True, slots=True)
class OperationGroup:
    api: str
    options: list[Any]
    """As WTForms draws them."""


class RestrictionsForm(Form):
    """What a key may do. Call `offer` before anything is read of it."""

    api_names: Mapping[int, str]
    read_only = BooleanField(
        "It may only read", description="GET, HEAD and OPTIONS are let through, everything else is refused with 403."
    )
    subscriptions = ChecksField("Only these subscriptions", coerce=int, validate_choice=True)
    operations = ChecksField("Only these operations", validate_choice=True)
    addresses = TextAreaField(
        "Only from these addresses",
        filters=[stripped],
        description="Addresses and networks, such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32, between spaces or "
        "lines. Empty: from everywhere.",
    )

    def offer(
        self,
        subscriptions: Sequence[Subscription],
        operations: Mapping[int, Sequence[tuple[str, str, str]]],
        key: Key | None = None,
    ) -> None:
        """`operations` are (method, path, summary) by the number of their API. What `key` has stays choosable."""
        had = Restrictions.of(key) if key is not None else Restrictions()
        offered = {each.id: f"{each.api.name} {each.api.version}" for each in subscriptions}
        self.api_names = {each.api_id: f"{each.api.name} {each.api.version}" for each in subscriptions}
        gone = {number: f"A subscription that has ended (number {number})" for number in had.subscriptions}
        self.subscriptions.choices = list((gone | offered).items())
        listed = [(api, method, path) for api, rows in operations.items() for method, path, _ in rows]
        self.operations.choices = [
            (_value(each), f"{each[1]} {each[2]}") for each in [*sorted(had.operations - set(listed)), *listed]
        ]
        if key is not None and not self.is_submitted():
            self.read_only.data = key.read_only
            self.addresses.data = "\n".join(map(networks.shown, key.addresses))
            self.subscriptions.data = sorted(had.subscriptions)
            self.operations.data = [_value(each) for each in sorted(had.operations)]

    def operation_groups(self) -> list[OperationGroup]:
        """The choices of operations, API by API."""
        groups: dict[int, OperationGroup] = {}
        for option in self.operations:
            api = _operation(str(option.data))[0]
            groups.setdefault(api, OperationGroup(self.api_names.get(api, "Another API"), [])).options.append(option)
        return list(groups.values())

    def restrictions(self) -> Restrictions:
        return Restrictions(
            read_only=bool(self.read_only.data),
            addresses=tuple(networks.split(self.addresses.data or "")),
            subscriptions=frozenset(self.subscriptions.data or []),
            operations=frozenset(_operation(each) for each in self.operations.data or []),
        )


class KeyForm(Ending, RestrictionsForm):
    """`birth` is the public id of the key to be made, signed: however often this form is sent, it makes one key."""

    noun = "key"
    places = {"expires_at": "until"}

    birth = HiddenField()
    kind = RadioField(
        "What it is",
        choices=choices({KeyKind.KEY: "A key", KeyKind.BASIC: "A user name and a password, for Authorization: Basic"}),
        default=KeyKind.KEY.value,
        description="The password is made here. Each works only with APIs that take such a one; their docs say which.",
    )
    label = one_line("Label", 80, description="Where the key is used, such as production or a colleague's laptop.")
    expires = SelectField("Expires", choices=choices(_ENDS))
    until = DateField("Last day", description="The key works until the end of this day, in UTC.")

    def expires_at(self, now: datetime) -> datetime | None:
        """None is never. Raises Invalid when a date is asked for and not given."""
        return None if self.expires.data == "never" else self.ends(now)


class EditKeyForm(KeyForm):
    """Of a key that there is: its expiry stays unless another one is chosen."""

    kind = None  # type: ignore[assignment]  # how WTForms takes a field out

    def keep(self, key: Key) -> None:
        """Offer what the key has, and choose it where nothing was sent."""
        kept = "Never" if key.expires_at is None else f"As it is: {key.expires_at:%Y-%m-%d %H:%M} UTC"
        others = {value: words for value, words in _ENDS.items() if value != "never" or key.expires_at is not None}
        self.expires.choices = choices({"kept": kept} | others)
        if not self.is_submitted():
            self.expires.data, self.label.data = "kept", key.label

    def expires_at_of(self, key: Key, now: datetime) -> datetime | None:
        return key.expires_at if self.expires.data == "kept" else self.expires_at(now)


_STAYS = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}


class RotateForm(Ending, Form):
    """`expires` is the successor's, `stays` the old key's; `birth` as in KeyForm."""

    noun = "new key"
    places = {"expires_at": "until", "stays_until": "last_day"}

    birth = HiddenField()
    label = one_line("Label of the new key", 80)
    stays = SelectField(
        "The old key works",
        default="24h",
        choices=choices(
            {
                "leaked": "No longer: it leaked",
                "1h": "For another hour",
                "24h": "For another 24 hours",
                "7d": "For another 7 days",
                "date": "Until the end of a day",
            }
        ),
    )
    last_day = DateField("Last day of the old key", description="It works until the end of this day, in UTC.")
    expires = SelectField("The new key expires")
    until = DateField("Last day of the new key", description="It works until the end of this day, in UTC.")

    def offer(self, key: Key, same: datetime | None) -> None:
        """`same` is when a successor expires that lives as long as this key was to live."""
        words = {"same": f"As long as the old one lived: {same:%Y-%m-%d}"} if same else {}
        self.expires.choices = choices(words | _ENDS)
        if not self.is_submitted():
            self.expires.data = "same" if same else "never"
            self.label.data = key.label

    def validate_last_day(self, field: Any) -> None:
        typed = self.stays.data == "date" and any(field.raw_data or ())
        field.errors = ["Give a day, such as 2027-01-31."] if typed and field.errors else []

    def stays_until(self, now: datetime) -> datetime | None:
        """None for a key that leaked. Raises Invalid when a date is asked for and not given."""
        if self.stays.data == "leaked":
            return None
        if self.stays.data == "date":
            if self.last_day.data is None:
                raise Invalid({"stays_until": "Choose the last day on which the old key works."})
            try:
                return datetime.combine(self.last_day.data, datetime.min.time(), UTC) + timedelta(days=1)
            except OverflowError:
                raise Invalid({"stays_until": "Choose an earlier day."}) from None
        return now + _STAYS[self.stays.data]

    def expires_at(self, now: datetime, same: datetime | None) -> datetime | None:
        if self.expires.data == "never":
            return None
        if self.expires.data == "same":
            return same
        return self.ends(now)


class LeakForm(Form):
    """What was pasted into `key` is never written back into a page."""

    key = StringField(
        "The key",
        filters=[stripped],
        validators=[Length(max=500, message="This is longer than any key. Paste the key alone.")],
        description="The whole key, as you found it; of a user name and password both, with the colon between them. It "
        "begins with pco_ or pcb_.",
    )
    found_at = StringField(
        "Where you found it",
        filters=[stripped],
        validators=[Length(max=500, message="At most 500 characters fit here.")],
        description="An address or a few words. Its owners are told.",
    )


def _value(operation: tuple[int, str, str]) -> str:
    return " ".join(map(str, operation))


def _operation(value: str) -> tuple[int, str, str]:
    api, method, path = value.split(" ", 2)
    return int(api), method, path
