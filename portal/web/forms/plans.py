"""The form of a plan."""

from typing import Any

from wtforms import SelectField, StringField, TextAreaField

from portal.registry.models import Plan
from portal.web.forms import Form, NumberField, one_line, stripped


class PlanForm(Form):
    name = one_line("Name", 80, needed="Give it a name.", description="What developers choose by, such as Gold.")
    description = TextAreaField("Description", description="Whom it is for and what it costs.")
    per_second = NumberField("Calls per second", whole=True)
    per_second_burst = NumberField("Burst", whole=True)
    per_minute = NumberField("Calls per minute", whole=True)
    per_minute_burst = NumberField("Burst", whole=True)

    def limits(self) -> dict[str, Any]:
        """Everything that both making and changing a plan take."""
        names = ("name", "description", "per_second", "per_second_burst", "per_minute", "per_minute_burst")
        return {name: self[name].data for name in names} | {"description": self.description.data or ""}


class NewPlanForm(PlanForm):
    conflict_at = "slug"

    team = SelectField("Team", description="Owns the plan. Its APIs may offer it.")
    slug = StringField(
        "Slug",
        filters=[stripped],
        description="Its name in addresses. Left empty, it is made from the name.",
    )


def in_words(plan: Plan) -> str:
    """A plan's limits in one phrase."""
    said = [
        f"{rate:,} {'call' if rate == 1 else 'calls'} per {unit}"
        + (f" (burst {burst:,})" if burst is not None and burst != usual else "")
        for rate, burst, unit, usual in (
            (plan.per_second, plan.per_second_burst, "second", plan.per_second),
            (plan.per_minute, plan.per_minute_burst, "minute", None),
        )
        if rate is not None
    ]
    return ", ".join(said) or "no limits"
