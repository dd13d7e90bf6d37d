"""Forms of how an API ends, of who may see it, and of its next version."""

from datetime import UTC, date, datetime, time

from wtforms import DateField, RadioField, SelectMultipleField, StringField, TextAreaField
from wtforms.validators import Length
from wtforms.widgets import CheckboxInput, ListWidget

from portal.errors import Invalid
from portal.registry.lifecycle import LONGEST_MESSAGE
from portal.registry.models import Api, Visibility
from portal.web.forms import Form, choices, stripped
from portal.web.forms.apis import unix_lines


class DeprecationForm(Form):
    places = {"sunset_at": "sunset", "at": "since"}
    conflict_at = "since"

    since = DateField("Deprecated from", description="Left empty, from now on. Callers are told at once either way.")
    sunset = DateField("Last day", description="In UTC. Nothing happens by itself then: you retire the API.")
    successor = StringField(
        "Successor",
        filters=[stripped],
        description="What to use instead, as team/slug/version. Callers are told where its docs are.",
    )
    message = TextAreaField(
        "Message",
        filters=[unix_lines],
        validators=[Length(max=LONGEST_MESSAGE, message=f"At most {LONGEST_MESSAGE:,} characters fit here.")],
        description="What they have to change, in the docs and in the mail to the teams that use it.",
    )

    def validate_since(self, field: DateField) -> None:
        _optional_day(field)

    def validate_sunset(self, field: DateField) -> None:
        _optional_day(field)

    def fill_from(self, api: Api) -> None:
        self.since.data = api.deprecated_at.astimezone(UTC).date() if api.deprecated_at else None
        self.sunset.data = api.sunset_at.astimezone(UTC).date() if api.sunset_at else None
        self.successor.data = api.successor.label if api.successor else ""
        self.message.data = api.deprecation_message

    def begins(self, api: Api, now: datetime) -> datetime:
        """What stands there already stays to the second. Raises Invalid for a day far away."""
        if self.since.data is None:
            return api.deprecated_at or now
        stored = api.deprecated_at
        if stored is not None and stored.astimezone(UTC).date() == self.since.data:
            return stored
        if not 2000 <= self.since.data.year < 3000:
            raise Invalid({"at": "Choose a day that is not so far away."})
        return now if self.since.data == now.date() else datetime.combine(self.since.data, time(), UTC)

    def ends(self, api: Api, now: datetime) -> datetime | None:
        """The last second of the day. Raises Invalid for one that has passed, unless it is stored already."""
        day: date | None = self.sunset.data
        if day is None:
            return None
        ends = datetime.combine(day, time(23, 59, 59), UTC)
        stored = api.sunset_at
        if stored is not None and stored.astimezone(UTC).date() == day:
            return stored
        if day.year >= 3000:
            raise Invalid({"sunset_at": "Choose an earlier day, or none."})
        if ends < now:
            raise Invalid({"sunset_at": "Choose a day that is still to come."})
        return ends


def _optional_day(field: DateField) -> None:
    typed = any(field.raw_data or ())
    field.errors = ["Give a day, such as 2027-01-31."] if typed and field.data is None else []


class VisibilityForm(Form):
    visibility = RadioField(
        "Who may see it",
        choices=choices(
            {
                Visibility.PUBLIC: "Everybody",
                Visibility.SIGNED_IN: "Everybody who has signed in",
                Visibility.CHOSEN: "Chosen teams",
                Visibility.TEAM: "Only its own team",
            }
        ),
    )
    teams = SelectMultipleField(
        "Teams", widget=ListWidget(prefix_label=False), option_widget=CheckboxInput(), validate_choice=False
    )
    others = StringField(
        "Other teams",
        filters=[stripped],
        description="Their slugs, with commas between, such as payments, web-shop.",
    )

    places = {"viewers": "others"}

    @property
    def slugs(self) -> list[str]:
        typed = [word.strip() for word in (self.others.data or "").split(",")]
        return list(dict.fromkeys([*(self.teams.data or ()), *filter(None, typed)]))[:200]


class NewVersionForm(Form):
    conflict_at = "version"
    places = {"slug": "version"}

    version = StringField("Version", filters=[stripped], description="Such as v2. It stands in addresses.")
    path = StringField(
        "Path",
        filters=[stripped],
        description="Where the gateway will serve it, beside the old version.",
    )
