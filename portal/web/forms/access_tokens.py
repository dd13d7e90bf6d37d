"""The form of an access token."""

from datetime import UTC, datetime, time, timedelta
from typing import Self

from itsdangerous import BadSignature, URLSafeSerializer
from wtforms import DateField, HiddenField, SelectField, SelectMultipleField
from wtforms.widgets import CheckboxInput, ListWidget

from portal.accounts import Person
from portal.accounts.tokens import SCOPES, Scope
from portal.errors import BadRequest, Invalid
from portal.web.forms import Form, choices, one_line


class ScopesField(SelectMultipleField):
    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


class TokenForm(Form):
    """`birth` is the public id of the token to be made, signed: however often this form is sent, it makes one."""

    places = {"expires_at": "until"}

    birth = HiddenField()
    label = one_line(
        "What it is for", 80, needed="Say what it is for.", description="Such as nightly export, or the CI of payments."
    )
    scopes = ScopesField(
        "It may",
        choices=choices({scope.value: words for scope, words in SCOPES.items()}),
        default=[Scope.READ.value],
    )
    expires = SelectField(
        "Expires",
        default="90",
        choices=choices(
            {"7": "In 7 days", "30": "In 30 days", "90": "In 90 days", "365": "In a year", "date": "After a date"}
        ),
    )
    until = DateField("Last day", description="It works until the end of this day, in UTC.")

    def validate_until(self, field: DateField) -> None:
        # A date that is not asked for need not be one.
        typed = self.expires.data == "date" and any(field.raw_data or ())
        field.errors = ["Give a day, such as 2027-01-31."] if typed and field.errors else []

    def for_person(self, person: Person) -> Self:
        """Only administrators can give a token their rights."""
        if not person.is_administrator:
            self.scopes.choices = choices({each.value: SCOPES[each] for each in Scope if each is not Scope.ADMIN})
        return self

    def expires_at(self, now: datetime) -> datetime:
        """Raises Invalid when a date is asked for and not given."""
        if self.expires.data != "date":
            return now + timedelta(days=int(self.expires.data))
        if self.until.data is None:
            raise Invalid({"expires_at": "Choose the last day on which the token works."})
        try:
            return datetime.combine(self.until.data, time(), UTC) + timedelta(days=1)
        except OverflowError:
            raise Invalid({"expires_at": "Choose an earlier day."}) from None


class TokenMark:
    """Signs the id of a token that a form will make, so that nobody chooses one; valid for one person."""

    def __init__(self, secret: str, person_id: int) -> None:
        self._signer = URLSafeSerializer(secret, salt=f"portico access token of person {person_id}")

    def sign(self, public_id: str) -> str:
        return str(self._signer.dumps(public_id))

    def read(self, mark: str) -> str:
        """Raises BadRequest for a mark that this form did not get from us."""
        try:
            return str(self._signer.loads(mark))
        except BadSignature:
            raise BadRequest("This form is not complete. Open the page again and send it once more.") from None
