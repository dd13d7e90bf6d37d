"""Forms of those who subscribe, and of those who decide about it."""

from datetime import UTC, datetime, time, timedelta

from wtforms import DateField, RadioField, SelectField, StringField, TextAreaField

from portal.errors import Invalid
from portal.registry.subjects import LONGEST as LONGEST_SUBJECT
from portal.registry.subscriptions import LONGEST_WORDS
from portal.web.forms import Form, NumberField, one_line, stripped

NEW = "new"
"""In the place of a consumer: one that is made on the way."""


def subject_line() -> StringField:
    return StringField(
        "Subject",
        filters=[stripped],
        render_kw={"maxlength": LONGEST_SUBJECT},
        description="Who your tokens say is calling, to the letter. One consumer of the API at a time has it. Empty: "
        "no token leads to this consumer.",
    )


class SubjectForm(Form):
    conflict_at = "subject"

    subject = subject_line()


class AskingForm(Form):
    """The plan, and what is said where it wants approval."""

    plan = RadioField("Plan", validate_choice=False)
    purpose = TextAreaField(
        "What for",
        filters=[stripped],
        render_kw={"maxlength": LONGEST_WORDS},
        description="Who decides goes by this: what the application does, who uses it.",
    )
    expected_calls = NumberField(
        "Expected calls a day", whole=True, description="A guess is fine; nothing is cut off at it."
    )

    def validate_plan(self, field: RadioField) -> None:
        if not field.data:
            field.errors = ["Choose a plan."]


class SubscribeForm(AskingForm):
    conflict_at = "consumer"
    places = {"slug": "name", "ends_at": "consumer"}

    consumer = SelectField("Application", validate_choice=False)
    name = one_line("Name of the new consumer", 80, description="The application that calls, such as Web shop.")
    subject = subject_line()
    team = SelectField("Team", validate_choice=False, description="Its members see the consumer and may issue keys.")


class UntilForm(Form):
    """A last day that may be left out."""

    places = {"ends_at": "until"}

    until = DateField("Until", description="The last day, in UTC. Empty: without an end.")

    def validate_until(self, field: DateField) -> None:
        typed = any(field.raw_data or ())
        field.errors = ["Give a day, such as 2027-01-31."] if typed and field.errors else []

    def last_day(self, end: datetime | None) -> None:
        """Show an end that was chosen before."""
        self.until.data = (end - timedelta(microseconds=1)).date() if end else None

    def end(self) -> datetime | None:
        """The end of the chosen day; None without one. Raises Invalid."""
        if self.until.data is None:
            return None
        try:
            return datetime.combine(self.until.data, time(), UTC) + timedelta(days=1)
        except OverflowError:
            raise Invalid({"until": "Choose an earlier day."}) from None


class DecisionForm(UntilForm):
    """`words` are the reason of a rejection, and may go with an approval."""

    words = TextAreaField(
        "Words to the team that asks",
        filters=[stripped],
        render_kw={"maxlength": LONGEST_WORDS},
        description="The reason, if you reject. With an approval you may leave it empty.",
    )


class AdmitForm(UntilForm):
    conflict_at = "consumer"

    consumer = one_line(
        "Id of the consumer",
        40,
        needed="Give the id of the consumer.",
        description="con_ and 16 characters: its team finds it on the consumer's page.",
    )
    plan = RadioField("Plan", validate_choice=False)

    def validate_plan(self, field: RadioField) -> None:
        if not field.data:
            field.errors = ["Choose a plan."]


class SuspendForm(Form):
    words = TextAreaField(
        "Reason",
        filters=[stripped],
        render_kw={"maxlength": LONGEST_WORDS},
        description="The consumer's team reads it.",
    )


class MoveForm(Form):
    conflict_at = "team"

    team = SelectField("To the team", validate_choice=False)
    slug = one_line("Slug there", 63, description="Its name in addresses. Empty: the one that it has.")
