"""Forms of consumers, their subscriptions and their keys."""

from datetime import UTC, datetime, time, timedelta

from itsdangerous import BadSignature, URLSafeSerializer
from wtforms import DateField, HiddenField, SelectField, StringField, TextAreaField

from portal.errors import BadRequest, Invalid
from portal.web.forms import Form, choices, one_line, stripped


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


class KeyForm(Form):
    """`birth` is the public id of the key to be made, signed: however often this form is sent, it makes one key."""

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

    def validate_until(self, field: DateField) -> None:
        # A date that is not asked for need not be one.
        typed = self.expires.data == "date" and any(field.raw_data or ())
        field.errors = ["Give a day, such as 2027-01-31."] if typed and field.errors else []

    def expires_at(self, now: datetime) -> datetime | None:
        """Raises Invalid when a date is asked for and not given."""
        if self.expires.data == "never":
            return None
        if self.expires.data != "date":
            return now + timedelta(days=int(self.expires.data))
        if self.until.data is None:
            raise Invalid({"expires_at": "Choose the last day on which the key works."})
        try:
            return datetime.combine(self.until.data, time(), UTC) + timedelta(days=1)
        except OverflowError:
            raise Invalid({"expires_at": "Choose an earlier day, or no expiry."}) from None


class BirthMark:
    """Signs the id of a key that a form will make, so that nobody chooses one; valid for one consumer."""

    def __init__(self, secret: str, consumer_id: int) -> None:
        self._signer = URLSafeSerializer(secret, salt=f"portico key of consumer {consumer_id}")

    def sign(self, public_id: str) -> str:
        return str(self._signer.dumps(public_id))

    def read(self, mark: str) -> str:
        """Raises BadRequest for a mark that this form did not get from us."""
        try:
            return str(self._signer.loads(mark))
        except BadSignature:
            raise BadRequest("This form is not complete. Open the page again and send it once more.") from None
