"""Forms of consumers, their subscriptions and their keys."""

from datetime import datetime

from wtforms import DateField, HiddenField, SelectField, StringField, TextAreaField

from portal.web.forms import Form, choices, one_line, stripped
from portal.web.forms.born import Ending


class ConsumerForm(Form):
    name = one_line("Name", 80, needed="Give it a name.", description="The application that calls, such as Web shop.")
    description = TextAreaField("Description", description="What it does and who to ask about it.")


class NewConsumerForm(ConsumerForm):
    conflict_at = "slug"

    team = SelectField("Team", description="Its members see the consumer and may issue keys.")
    slug = StringField(
        "Slug",
        filters=[stripped],
        description="Its name in addresses. Left empty, it is made from the name.",
    )


class KeyForm(Ending, Form):
    """`birth` is the public id of the key to be made, signed: however often this form is sent, it makes one key."""

    noun = "key"
    places = {"expires_at": "until"}

    birth = HiddenField()
    label = one_line("Label", 80, description="Where the key is used, such as production or a colleague's laptop.")
    expires = SelectField(
        "Expires",
        choices=choices(
            {
                "never": "Never",
                "7": "In 7 days",
                "30": "In 30 days",
                "90": "In 90 days",
                "365": "In a year",
                "date": "After a date",
            }
        ),
    )
    until = DateField("Last day", description="The key works until the end of this day, in UTC.")

    def expires_at(self, now: datetime) -> datetime | None:
        """None is never. Raises Invalid when a date is asked for and not given."""
        return None if self.expires.data == "never" else self.ends(now)
