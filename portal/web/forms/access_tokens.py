"""The form of an access token."""

from typing import Self

from wtforms import DateField, HiddenField, SelectField, SelectMultipleField
from wtforms.widgets import CheckboxInput, ListWidget

from portal.accounts import Person
from portal.accounts.tokens import SCOPES, Scope
from portal.web.forms import Form, choices, one_line
from portal.web.forms.born import Ending


class ScopesField(SelectMultipleField):
    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


class TokenForm(Ending, Form):
    """`birth` is the public id of the token to be made, signed: however often this form is sent, it makes one."""

    noun = "token"
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

    def for_person(self, person: Person) -> Self:
        """Only administrators can give a token their rights."""
        if not person.acts_as_administrator:
            self.scopes.choices = choices({each.value: SCOPES[each] for each in Scope if each is not Scope.ADMIN})
        return self
