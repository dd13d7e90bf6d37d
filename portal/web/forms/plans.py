"""The form of a plan."""

from collections.abc import Mapping
from typing import Any, ClassVar

from wtforms import BooleanField, RadioField, SelectField, SelectMultipleField, StringField, TextAreaField
from wtforms.validators import Length
from wtforms.widgets import CheckboxInput, ListWidget

from portal.registry.models import Plan
from portal.registry.operation_limits import OperationLimit
from portal.registry.plans import LONGEST_PRICE, LONGEST_TERMS, PlanValues
from portal.web.forms import Form, NumberField, choices, one_line, stripped
from portal.web.forms.apis import unix_lines

EVERYBODY, CHOSEN = "everybody", "chosen"


class LimitsForm(Form):
    """What administrators edit in the back office, too."""

    name = one_line("Name", 80, needed="Give it a name.", description="What developers choose by, such as Gold.")
    description = TextAreaField("Description", description="Whom it is for.")
    price = one_line("Price", LONGEST_PRICE, description="In words, such as 10 EUR a month. Nothing is billed here.")
    per_second = NumberField("Calls per second", whole=True)
    per_second_burst = NumberField("Burst", whole=True)
    per_minute = NumberField("Calls per minute", whole=True)
    per_minute_burst = NumberField("Burst", whole=True)
    quota_day = NumberField("Calls per day", whole=True)
    quota_month = NumberField("Calls per month", whole=True)

    _NAMES: ClassVar = (
        *("name", "description", "price", "quota_day", "quota_month"),
        *("per_second", "per_second_burst", "per_minute", "per_minute_burst"),
    )

    def values(self) -> dict[str, Any]:
        """Of those that PlanValues takes."""
        return {name: self[name].data for name in self._NAMES} | {"description": self.description.data or ""}


class OfficeForm(LimitsForm):
    agreed = BooleanField(
        "Save although calls would have been refused",
        description="Stricter limits are tried on the last 7 days first.",
    )


class PlanForm(LimitsForm):
    places: Mapping[str, str] = {"chosen": "others"}

    approval = BooleanField(
        "Subscriptions wait for approval",
        description="Whoever asks says what for; you approve or reject. Those that exist go on.",
    )
    terms = TextAreaField(
        "Terms",
        filters=[unix_lines],
        validators=[Length(max=LONGEST_TERMS, message=f"At most {LONGEST_TERMS:,} characters fit here.")],
        description="In Markdown. Shown before one subscribes.",
    )
    audience = RadioField(
        "Who may choose it",
        choices=choices({EVERYBODY: "Everybody who may subscribe", CHOSEN: "Chosen teams, and its own"}),
        default=EVERYBODY,
    )
    teams = SelectMultipleField(
        "Teams", widget=ListWidget(prefix_label=False), option_widget=CheckboxInput(), validate_choice=False
    )
    others = StringField(
        "Other teams",
        filters=[stripped],
        description="Their slugs, with commas between, such as payments, web-shop.",
    )

    def fill_from(self, plan: Plan) -> None:
        self.audience.data = EVERYBODY if plan.public else CHOSEN
        self.teams.data = [team.slug for team in plan.chosen]

    def values(self) -> dict[str, Any]:
        """All but `chosen`, which needs the database."""
        more = {"approval": self.approval.data, "terms": self.terms.data or "", "public": self.is_public}
        return super().values() | more

    @property
    def is_public(self) -> bool:
        return bool(self.audience.data != CHOSEN)

    @property
    def slugs(self) -> list[str]:
        typed = [word.strip() for word in (self.others.data or "").split(",")]
        return list(dict.fromkeys([*(self.teams.data or ()), *filter(None, typed)]))[:200]


class NewPlanForm(PlanForm):
    conflict_at = "slug"

    team = SelectField("Team", description="Owns the plan. Its APIs may offer it.")
    slug = StringField(
        "Slug",
        filters=[stripped],
        description="Its name in addresses. Left empty, it is made from the name.",
    )


def in_words(plan: Plan | PlanValues) -> str:
    """A plan's limits and quotas in one phrase, without those of its operations."""
    quotas = [
        f"{number:,} {'call' if number == 1 else 'calls'} per {unit}"
        for number, unit in ((plan.quota_day, "day"), (plan.quota_month, "month"))
        if number is not None
    ]
    return ", ".join([*_rates(plan), *quotas]) or "no limits"


def limit_in_words(limit: OperationLimit) -> str:
    """An operation's limit: `2 calls per minute`."""
    return ", ".join(_rates(limit))


def _rates(of: Plan | PlanValues | OperationLimit) -> list[str]:
    return [
        f"{rate:,} {'call' if rate == 1 else 'calls'} per {unit}"
        + (f" (burst {burst:,})" if burst is not None and burst != rate else "")
        for rate, burst, unit in (
            (of.per_second, of.per_second_burst, "second"),
            (of.per_minute, of.per_minute_burst, "minute"),
        )
        if rate is not None
    ]
